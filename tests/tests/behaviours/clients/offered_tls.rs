//! Which versions and suites of TLS a service takes: it is asked for each of them, one by one, as scanners do.

use std::{collections::BTreeSet, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use torchmesh_tests::{MeshSandbox, bounded, models::Model, tls::Certificate};

const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// What a service says to a client's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It goes on, with this version and suite.
    Hello { version: u16, suite: u16, compression: u8 },
    /// It does not, and says why (RFC 8446, section 6.2), or hangs up.
    Refused(Option<u8>),
}

fn with_length(bytes: usize, content: &[u8]) -> Vec<u8> {
    [&content.len().to_be_bytes()[size_of::<usize>() - bytes..], content].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A ClientHello (RFC 5246, section 7.4.1.2) that offers these suites, up to a version; from 1.3 on that is said in an extension (RFC 8446, section 4.2.1).
fn client_hello(version: u16, suites: &[u16]) -> Vec<u8> {
    let extension = |kind: u16, content: Vec<u8>| [kind.to_be_bytes().to_vec(), with_length(2, &content)].concat();
    let mut extensions = [
        // Groups: x25519, P-256, P-384.
        extension(10, with_length(2, &words(&[29, 23, 24]))),
        extension(11, with_length(1, &[0])),
        // Signatures: ECDSA and RSA-PSS with SHA-256 and SHA-384, Ed25519, RSA with SHA-256, and SHA-1 with both.
        extension(13, with_length(2, &words(&[0x0403, 0x0503, 0x0804, 0x0805, 0x0807, 0x0401, 0x0203, 0x0201]))),
        extension(23, Vec::new()),
    ]
    .concat();
    if version >= TLS_1_3 {
        extensions.extend(extension(43, with_length(1, &words(&[version]))));
        // No key yet: the service asks for one in its hello.
        extensions.extend(extension(51, with_length(2, &[])));
    }
    let hello = [
        words(&[version.min(TLS_1_2)]),
        vec![7; 32],
        with_length(1, &[]),
        with_length(2, &words(suites)),
        // DEFLATE before none; from 1.3 on nothing but none may be said.
        with_length(1, if version >= TLS_1_3 { &[0] } else { &[1, 0] }),
        with_length(2, &extensions),
    ]
    .concat();
    let message = [vec![1], with_length(3, &hello)].concat();
    [vec![22], words(&[version.min(0x0301)]), with_length(2, &message)].concat()
}

/// A ServerHello's version, suite and compression.
fn server_hello(message: &[u8]) -> Option<Said> {
    let content = message.strip_prefix(&[2])?.get(3..)?;
    let word = |at: usize| Some(u16::from_be_bytes(content.get(at..at + 2)?.try_into().ok()?));
    let after = 35 + usize::from(*content.get(34)?);
    let (mut version, suite, compression) = (word(0)?, word(after)?, *content.get(after + 2)?);
    let mut at = after + 5;
    while let (Some(kind), Some(length)) = (word(at), word(at + 2)) {
        if kind == 43 {
            version = word(at + 4)?;
        }
        at += 4 + usize::from(length);
    }
    Some(Said::Hello { version, suite, compression })
}

async fn says(address: SocketAddr, message: &[u8]) -> Said {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(message).await.unwrap();
    let mut head = [0; 5];
    // Whoever hangs up on it has refused it.
    let Ok(_) = stream.read_exact(&mut head).await else { return Said::Refused(None) };
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).await.unwrap();
    match head[0] {
        21 => Said::Refused(content.get(1).copied()),
        22 => server_hello(&content).expect("a whole hello in its first record"),
        other => panic!("a record of type {other}: {content:?}"),
    }
}

/// Of these suites those that are taken when each is offered alone.
async fn taken(address: SocketAddr, version: u16, suites: impl Iterator<Item = u16>) -> BTreeSet<u16> {
    let mut taken = BTreeSet::new();
    for suite in suites {
        match says(address, &client_hello(version, &[suite])).await {
            Said::Hello { version: chosen, suite: answered, compression } => {
                assert_eq!((chosen, answered, compression), (version, suite, 0));
                taken.insert(suite);
            }
            Said::Refused(why) => assert!(matches!(why, Some(40 | 47 | 70 | 71)), "{suite:#06x} at {version:#06x}: alert {why:?}"),
        }
    }
    taken
}

/// All that IANA has numbered for versions below 1.3.
fn old_suites() -> impl Iterator<Item = u16> + Clone {
    (0x0000..=0x00ff).chain(0xc001..=0xc0b5).chain(0xcca8..=0xccae).chain(0xd001..=0xd005)
}

#[test]
fn no_version_below_1_2_is_taken_and_no_suite_without_forward_secrecy_and_authenticated_encryption() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(folder.path());
        let builder = MeshSandbox::builder().model(Model::noop());
        let builder = builder.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key);
        let mesh = builder.start().await;
        let gateway = mesh.gateway();
        let every: Vec<u16> = old_suites().collect();
        for version in [0x0300, 0x0301, 0x0302] {
            let said = says(gateway, &client_hello(version, &every)).await;
            assert!(matches!(said, Said::Refused(Some(40 | 70))), "{version:#06x}: {said:?}");
        }
        // SSL 2 has a hello of another form.
        let ssl_2 = [&[0x80, 0x1c, 1, 0, 2, 0, 3, 0, 0, 0, 16, 1, 0, 0x80][..], &[7; 16]].concat();
        assert!(matches!(says(gateway, &ssl_2).await, Said::Refused(_)));
        // With an ECDSA certificate: ECDHE with AES-GCM, 128 and 256 bits, and ChaCha20-Poly1305.
        assert_eq!(taken(gateway, TLS_1_2, old_suites()).await, BTreeSet::from([0xc02b, 0xc02c, 0xcca9]));
        assert_eq!(taken(gateway, TLS_1_3, 0x1301..=0x1305).await, BTreeSet::from([0x1301, 0x1302, 0x1303]));
    });
}
