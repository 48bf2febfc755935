//! Steps in which every sequence has one token, which a GPU does from a record; and tokens that the decoder chooses.

use super::*;

/// Reads prompts of several lengths, and then two steps in which each of them has one token: the logits of both steps.
fn written(decoder: &mut dyn Decoder, tokens: &[u32], sequences: usize) -> Vec<f32> {
    let context = decoder.facts().max_tokens;
    let tokens: Vec<u32> = tokens.iter().cycle().take(200).copied().collect();
    let blocks: Vec<Vec<u32>> = (0..sequences as u32).map(|number| (0..4).map(|block| (3 - block) * 9 + number).collect()).collect();
    let cached: Vec<usize> = (0..sequences).map(|number| 1 + (number * 29 + 93) * (context - 3) / 128 % (context - 3)).collect();
    for (number, blocks) in blocks.iter().enumerate() {
        let prompt = Span { wants: Wants::Nothing, ..span(&tokens[number..][..cached[number]], 0, blocks) };
        decoder.step(&[prompt]).unwrap();
    }
    let mut logits = Vec::new();
    for more in 0..2 {
        let one =
            |number: usize| Span { wants: Wants::Last, ..span(&tokens[50 + number..=50 + number], cached[number] + more, &blocks[number]) };
        let spans: Vec<Span<'_>> = (0..sequences).map(one).collect();
        logits.extend(decoder.step(&spans).unwrap().values);
    }
    logits
}

#[test]
fn steps_of_one_token_a_sequence_are_those_of_our_own_kernels_alone_and_together() {
    let golden = golden();
    let names =
        ["llama: grouped queries", "llama: one head of keys", "mistral: sliding window", "qwen3", "gemma2", "gemma3", "gpt2", "phi3"];
    let cases = names.iter().filter_map(|name| golden.cases.iter().find(|case| case.name == *name));
    for (case, sequences) in cases.flat_map(|case| [1, 3, 9].map(|sequences| (case, sequences))) {
        let wanted = written(load(Way::OwnKernels, case, 2, Dtype::Fp32).unwrap().as_mut(), &golden.tokens, sequences);
        let most = wanted.iter().fold(1.0, |most: f32, logit| most.max(logit.abs()));
        for (dtype, within) in [(Dtype::Fp32, 1e-3), (Dtype::Bf16, 0.1 * most), (Dtype::Fp16, 0.05 * most)] {
            let found = written(load(Way::Libtorch, case, 1, dtype).unwrap().as_mut(), &golden.tokens, sequences);
            assert_eq!(found.len(), wanted.len());
            let difference = furthest(found.iter(), wanted.iter());
            assert!(difference < within, "{}, {sequences} sequences, {dtype}: {difference}", case.name);
        }
    }
}

#[test]
fn who_wants_the_likeliest_token_gets_that_of_the_logits_beside_others_who_want_those() {
    let golden = golden();
    let mut decoder = load(Way::Libtorch, &golden.cases[1], 1, Dtype::Fp32).unwrap();
    assert!(decoder.facts().chooses);
    let blocks = [[0], [1], [2], [3]];
    let tokens = |number: usize| &golden.tokens[number..number + if number == 2 { 5 } else { 1 }];
    let mut ask = |wants: [Wants; 4]| {
        let spans: Vec<Span<'_>> = (0..4).map(|number| Span { wants: wants[number], ..span(tokens(number), 0, &blocks[number]) }).collect();
        decoder.step(&spans).unwrap()
    };
    let all = ask([Wants::Last; 4]).values;
    let rows: Vec<&[f32]> = all.chunks(96).collect();
    let best = |row: &[f32]| row.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map(|(token, _)| token as u32);
    let some = ask([Wants::Likeliest(96), Wants::Last, Wants::Likeliest(40), Wants::Nothing]);
    assert!(furthest(some.values.iter(), rows[1].iter()) < 1e-5);
    assert_eq!(some.likeliest, [best(rows[0]), best(&rows[2][..40])]);
    let chosen = ask([Wants::Likeliest(96); 4]);
    assert_eq!((chosen.values.len(), chosen.likeliest), (0, rows.iter().map(|row| best(row)).collect()));
}
