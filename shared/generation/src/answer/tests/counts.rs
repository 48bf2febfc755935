use crate::answer::{Counts, max_new};

#[test]
fn counts_out_of_their_range_are_named() {
    let refuse = |n, best_of| Counts::of(n, best_of).unwrap_err().to_string();
    assert_eq!(refuse(Some(0), None), "n: must be from 1 to 16, not 0");
    assert_eq!(refuse(Some(17), None), "n: must be from 1 to 16, not 17");
    assert_eq!(refuse(Some(3), Some(2)), "best_of: must be from n, which is 3, to 16, not 2");
    assert_eq!(refuse(None, Some(17)), "best_of: must be from n, which is 1, to 16, not 17");
    let counts = Counts::of(Some(2), Some(5)).unwrap();
    assert_eq!((counts.n, counts.best_of, counts.ranked()), (2, 5, true));
    assert_eq!(Counts::of(None, None), Ok(Counts { n: 1, best_of: 1 }));
    assert!(!Counts::of(Some(4), None).unwrap().ranked());
}

#[test]
fn an_answer_is_as_long_as_was_asked_for_and_as_the_context_takes() {
    assert_eq!(max_new(Some(10), Some(5), 20, 100), Ok(10));
    assert_eq!(max_new(None, Some(5), 20, 100), Ok(5));
    assert_eq!(max_new(None, None, 20, 100), Ok(80));
    assert_eq!(max_new(Some(u32::MAX), None, 99, 100), Ok(1));
    let refuse = |asked, prompt| max_new(asked, None, prompt, 100).unwrap_err().to_string();
    assert_eq!(refuse(Some(0), 5), "max_tokens: must be at least 1, not 0");
    assert_eq!(refuse(None, 100), "prompt: has 100 tokens; the model's context takes at most 99 and an answer");
    assert_eq!(refuse(None, 0), "prompt: must have at least one token");
}
