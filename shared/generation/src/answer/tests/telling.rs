use super::{events, logits, plan, run, tokens, write};
use crate::{
    Author, End, Next,
    answer::{Event, Failure, Plan, answer, likeliest},
    sample::Sampling,
};

fn with_logprobs(count: u32) -> Sampling {
    Sampling { logprobs: Some(count), ..plan().sampling }
}

#[test]
fn logarithms_and_the_likeliest_are_told_for_each_token() {
    let (pieces, ended) = run(Plan { sampling: with_logprobs(2), ..plan() }, &tokens("ab"));
    let token = &pieces[0].tokens[0];
    assert_eq!((token.id, &token.bytes[..], token.likeliest.len()), (97, &b"a"[..], 2));
    assert_eq!((token.likeliest[0].id, token.likeliest[1].id, &token.likeliest[1].bytes[..]), (97, 0, &[0][..]));
    assert_eq!(token.logprob, Some(token.likeliest[0].logprob));
    let mean = ended.mean_logprob.unwrap();
    assert!((mean - f64::from(token.logprob.unwrap())).abs() < 1e-6);
}

#[test]
fn a_ranked_answer_knows_its_mean_and_tells_no_logarithms() {
    let (pieces, ended) = run(Plan { ranked: true, ..plan() }, &tokens("ab"));
    assert!(ended.mean_logprob.unwrap() < -0.5);
    assert!(pieces.iter().flat_map(|piece| &piece.tokens).all(|token| token.logprob.is_none()));
    assert_eq!(run(plan(), &tokens("ab")).1.mean_logprob, None);
}

#[test]
fn the_likeliest_answers_are_those_with_the_largest_means() {
    assert_eq!(likeliest(&[Some(-2.0), None, Some(-0.5), Some(-2.0), Some(f64::NEG_INFINITY)], 3), [2, 0, 3]);
    assert_eq!(likeliest(&[None, Some(-1.0)], 5), [1, 0]);
}

#[test]
fn an_echoed_prompt_comes_first_and_is_not_counted() {
    let (pieces, ended) = run(Plan { echo: Some("hi".to_owned()), ..plan() }, &tokens("!"));
    assert_eq!((pieces[0].text.as_str(), pieces[0].tokens.len(), pieces[1].text.as_str()), ("hi", 2, "!"));
    assert_eq!((ended.completion_tokens, pieces[0].tokens[1].logprob), (1, None));
}

#[test]
fn an_echoed_prompt_has_its_logarithms_where_they_are_asked_for() {
    let (mut author, mut receiver) = answer(Plan { echo: Some("hi".to_owned()), sampling: with_logprobs(1), ..plan() });
    assert!(author.reads_prompt());
    author.begin(2, 0);
    author.read(1, &mut logits(105));
    author.read(1, &mut logits(7));
    author.next(&mut logits(33));
    assert!(!author.reads_prompt(), "it has been told, and needs not be read again after a preemption");
    author.read(1, &mut logits(7));
    author.end(End::Length);
    let told = events(&mut receiver);
    let Event::Piece(echo) = &told[1] else { panic!("{told:?}") };
    assert_eq!((echo.text.as_str(), echo.tokens[0].logprob, echo.tokens[1].id), ("hi", None, 105));
    assert_eq!(echo.tokens[1].logprob, Some(echo.tokens[1].likeliest[0].logprob));
    assert_eq!(told.len(), 4);
}

#[test]
fn the_prompt_is_not_read_where_nobody_asks() {
    let (author, _receiver) = answer(Plan { sampling: with_logprobs(1), ..plan() });
    assert!(!author.reads_prompt());
    let (mut author, mut receiver) = answer(Plan { echo: Some(String::new()), ..plan() });
    assert!(!author.reads_prompt());
    write(&mut author, &[]);
    assert_eq!(events(&mut receiver).len(), 3);
}

#[test]
fn an_answer_that_is_told_the_likeliest_tokens_is_the_one_that_chooses_them() {
    let (mut author, mut receiver) = answer(Plan { echo: Some("hi".to_owned()), ..plan() });
    assert_eq!(author.takes_likeliest(), Some(plan().words.len()));
    author.begin(2, 0);
    for token in tokens("ab!") {
        assert_eq!(author.take_likeliest(Some(token)), Next::Token(token));
    }
    author.end(End::Length);
    let (mut other, mut chosen) = answer(Plan { echo: Some("hi".to_owned()), ..plan() });
    write(&mut other, &tokens("ab!"));
    assert_eq!(events(&mut receiver), events(&mut chosen));

    let (mut lost, mut receiver) = answer(plan());
    lost.begin(2, 0);
    assert_eq!(lost.take_likeliest(None), Next::Last);
    assert!(matches!(events(&mut receiver)[..], [Event::Began { .. }, Event::Failed(Failure::NoToken)]));
}

#[test]
fn who_wants_to_know_more_than_the_likeliest_token_sees_the_logits() {
    let greedy = plan().sampling;
    for sampling in [
        Sampling { temperature: 0.7, ..greedy.clone() },
        Sampling { repetition_penalty: 1.2, ..greedy.clone() },
        Sampling { presence_penalty: 0.5, ..greedy.clone() },
        Sampling { logit_bias: vec![(5, 1.0)], ..greedy.clone() },
        Sampling { logprobs: Some(0), ..greedy.clone() },
    ] {
        assert_eq!(answer(Plan { sampling: sampling.clone(), ..plan() }).0.takes_likeliest(), None, "{sampling:?}");
    }
    assert_eq!(answer(Plan { ranked: true, ..plan() }).0.takes_likeliest(), None);
}
