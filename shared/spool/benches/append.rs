//! What a record costs: copied into memory, checked, and made durable with others.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use torchmesh_spool::{Position, Settings, Spool, record};

/// About what a usage event has.
const CONTENT: [u8; 250] = [7; 250];

fn records(c: &mut Criterion) {
    let mut bytes = Vec::with_capacity(1 << 20);
    c.bench_function("frame of 250 bytes", |bencher| {
        bencher.iter(|| {
            bytes.clear();
            record::push(&mut bytes, Position { segment: 1, offset: 8 }, black_box(&CONTENT));
        });
    });
}

fn appending(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        folder: folder.path().to_owned(),
        sync_every: Duration::from_millis(2),
        max_bytes: 64 << 30,
        segment_bytes: 8 << 20,
        readers: vec!["bench"],
    };
    let (spool, _) = Spool::open(settings).expect("a spool");
    let mut reader = spool.reader("bench").expect("its reader");
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    group.bench_function("without waiting", |bencher| bencher.iter(|| drop(spool.append(black_box(&CONTENT)))));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    group.bench_function("one after the other, waiting for each", |bencher| {
        bencher.iter(|| runtime.block_on(spool.append(black_box(&CONTENT))));
    });
    group.finish();
    let end = *spool.reached().borrow();
    reader.acknowledge(end).expect("the place is kept");
}

criterion_group!(benches, records, appending);
criterion_main!(benches);
