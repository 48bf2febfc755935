use crate::sample::Sampling;

#[test]
fn each_setting_out_of_its_range_is_named_with_the_range() {
    let base = Sampling::default;
    let cases = [
        (Sampling { temperature: 3.0, ..base() }, "temperature: must be from 0 to 2, not 3"),
        (Sampling { temperature: f32::NAN, ..base() }, "temperature: must be from 0 to 2, not NaN"),
        (Sampling { top_p: 0.0, ..base() }, "top_p: must be over 0 and at most 1, not 0"),
        (Sampling { top_p: 1.5, ..base() }, "top_p: must be over 0 and at most 1, not 1.5"),
        (Sampling { min_p: -0.5, ..base() }, "min_p: must be from 0 to 1, not -0.5"),
        (Sampling { repetition_penalty: 0.0, ..base() }, "repetition_penalty: must be over 0 and at most 2, not 0"),
        (Sampling { frequency_penalty: 2.5, ..base() }, "frequency_penalty: must be from -2 to 2, not 2.5"),
        (Sampling { presence_penalty: f32::INFINITY, ..base() }, "presence_penalty: must be from -2 to 2, not inf"),
        (Sampling { logprobs: Some(21), ..base() }, "logprobs: must be from 0 to 20, not 21"),
        (Sampling { logit_bias: vec![(10, 1.0)], ..base() }, "logit_bias: token 10 is not in the vocabulary, which ends at 9"),
        (Sampling { logit_bias: vec![(1, 101.0)], ..base() }, "logit_bias: must be from -100 to 100, not 101 for token 1"),
        (Sampling { logit_bias: vec![(1, 1.0); 1025], ..base() }, "logit_bias: must have at most 1024 tokens, not 1025"),
    ];
    for (sampling, message) in cases {
        assert_eq!(sampling.check(10).unwrap_err().to_string(), message);
    }
    assert_eq!(base().check(10), Ok(()));
}
