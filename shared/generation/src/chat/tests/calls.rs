use proptest::prelude::*;

use crate::chat::{CallFormat, CallPiece, Calls, Delta};

/// What an answer says when it comes in these pieces: its content, and of each call the name and the arguments.
fn read(format: CallFormat, pieces: &[&str]) -> (String, Vec<(String, String)>) {
    let mut calls = Calls::new(format, ["weather".to_owned(), "time".to_owned()], 1);
    let (mut content, mut found, mut ids) = (String::new(), Vec::new(), Vec::new());
    let deltas: Vec<Delta> = pieces.iter().flat_map(|piece| calls.push(piece)).collect();
    for delta in deltas.into_iter().chain(calls.finish()) {
        match delta {
            Delta::Content(text) => content.push_str(&text),
            Delta::Call(CallPiece { index, id, name, arguments }) if index == found.len() => {
                assert!(!id.is_empty() && !ids.contains(&id));
                ids.push(id);
                found.push((name, arguments));
            }
            Delta::Call(CallPiece { index, id, name, arguments }) => {
                assert!(id.is_empty() && name.is_empty() && index + 1 == found.len());
                found[index].1.push_str(&arguments);
            }
        }
    }
    assert_eq!(calls.count(), found.len());
    (content, found)
}

fn check(format: CallFormat, text: &str, content: &str, calls: &[(&str, &str)]) {
    let letters: Vec<String> = text.chars().map(String::from).collect();
    for pieces in [vec![text], letters.iter().map(String::as_str).collect()] {
        let (said, found) = read(format, &pieces);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, arguments)| (name.as_str(), arguments.as_str())).collect();
        assert_eq!((said.as_str(), &found[..]), (content, calls), "{text}");
    }
}

#[test]
fn calls_in_the_format_of_hermes_are_found() {
    let check = |text, content, calls: &[(&str, &str)]| check(CallFormat::Hermes, text, content, calls);
    check("Hi <tool> there", "Hi <tool> there", &[]);
    check(
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"}\\\"{\"}}\n</tool_call>",
        "",
        &[("weather", "{\"city\": \"}\\\"{\"}")],
    );
    let two = "Let me see.\n<tool_call>{\"arguments\": {\"a\": [1]}, \"name\": \"weather\"}</tool_call>\n<tool_call>\n{\"name\": \"other\"}\n</tool_call> Done. ";
    check(two, "Let me see. Done. ", &[("weather", "{\"a\": [1]}"), ("other", "{}")]);
    check("<tool_call>{\"name\": \"time\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "", &[("time", "{\"a\": 1}")]);
    check("<tool_call>{\"name\": \"time\", \"arguments\": null, \"more\": [{}]}", "", &[("time", "{}")]);
    check("a <tool_call>not JSON</tool_call> b", "a <tool_call>not JSON b", &[]);
    check("<tool_call>{\"nam", "<tool_call>{\"nam", &[]);
    check("<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": ", "", &[("time", "{\"a\": ")]);
    check("<tool_call>{\"name\": \"time\", \"arguments\": {}x}\n</tool_call>!", "!", &[("time", "{}")]);
    check("  a  <", "  a  <", &[]);
}

#[test]
fn calls_in_the_format_of_llama_are_the_whole_answer() {
    let check = |text, content, calls: &[(&str, &str)]| check(CallFormat::Llama, text, content, calls);
    check("{\"name\": \"weather\", \"parameters\": {\"city\": \"Köln\"}}", "", &[("weather", "{\"city\": \"Köln\"}")]);
    check("\n{\"type\": \"function\", \"name\": \"time\", \"parameters\": {}}\n", "", &[("time", "{}")]);
    check("{\"name\": \"time\", \"parameters\": {}}; {\"name\": \"weather\", \"arguments\": {}}", "", &[("time", "{}"), ("weather", "{}")]);
    check("{\"name\": \"Ada\", \"age\": 36}", "{\"name\": \"Ada\", \"age\": 36}", &[]);
    check("{\"name\": \"nobody\", \"parameters\": {}}", "{\"name\": \"nobody\", \"parameters\": {}}", &[]);
    check("{\"answer\": {}} {\"name\": \"time\", \"parameters\": {}}", "{\"answer\": {}} {\"name\": \"time\", \"parameters\": {}}", &[]);
    check("It is {\"name\": \"time\", \"parameters\": {}}", "It is {\"name\": \"time\", \"parameters\": {}}", &[]);
    check("{\"name\": \"time\"}", "{\"name\": \"time\"}", &[]);
}

#[test]
fn calls_in_the_format_of_mistral_are_a_list() {
    let check = |text, content, calls: &[(&str, &str)]| check(CallFormat::Mistral, text, content, calls);
    let two =
        "[TOOL_CALLS] [{\"name\": \"time\", \"arguments\": {}}, {\"name\": \"weather\", \"arguments\": {\"a\": \"]\"}, \"id\": \"x\"}]";
    check(two, "", &[("time", "{}"), ("weather", "{\"a\": \"]\"}")]);
    check("Wait. [TOOL_CALLS]{\"name\": \"time\", \"arguments\": {}}", "Wait.", &[("time", "{}")]);
    check("[TOOL_CALLS] none", "[TOOL_CALLS] none", &[]);
    check("a [TOOL", "a [TOOL", &[]);
}

#[test]
fn nothing_of_a_mark_is_told_before_it_is_known_to_be_none() {
    let mut calls = Calls::new(CallFormat::Hermes, [], 1);
    assert_eq!(calls.push("Hi <tool_"), [Delta::Content("Hi".to_owned())]);
    assert_eq!(calls.push("ca"), []);
    assert_eq!(calls.push("p>"), [Delta::Content(" <tool_cap>".to_owned())]);
    assert_eq!(calls.push("<tool_call>{\"name\": \"f\", \"argu"), []);
    let Delta::Call(first) = calls.push("ments\": {\"a").remove(0) else { panic!("no call") };
    assert_eq!((first.name.as_str(), first.arguments.as_str(), first.id.len()), ("f", "{\"a", 29));
    let piece = CallPiece { arguments: "\": 1}".to_owned(), ..CallPiece::default() };
    assert_eq!(calls.push("\": 1}}"), [Delta::Call(piece)]);
}

#[test]
fn ids_are_made_of_the_seed_and_fit_the_format() {
    let id = |format, seed| {
        let mut calls = Calls::new(format, ["f".to_owned()], seed);
        let mut deltas = calls.push("[TOOL_CALLS]<tool_call>").into_iter().chain(calls.push("{\"name\": \"f\", \"parameters\": {}}"));
        deltas.find_map(|delta| if let Delta::Call(piece) = delta { Some(piece.id) } else { None }).unwrap()
    };
    assert!(id(CallFormat::Hermes, 1).starts_with("call_"));
    assert_eq!(id(CallFormat::Hermes, 1), id(CallFormat::Hermes, 1));
    assert_ne!(id(CallFormat::Hermes, 1), id(CallFormat::Hermes, 2));
    let mut calls = Calls::new(CallFormat::Mistral, [], 3);
    let Delta::Call(piece) = calls.push("[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}").remove(0) else { panic!("no call") };
    assert!(piece.id.len() == 9 && piece.id.chars().all(|letter| letter.is_ascii_alphanumeric()));
}

/// Texts that are made of what matters to the formats, whole and broken.
fn answer() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[", "]", "{\"name\": \"weather\", \"arguments\": {\"city\": \"é\\\"}\"}}",
            "{\"parameters\": {\"a\": [[1], {}]}, \"name\": \"time\"}", "{\"name\": \"time\"", "\"arguments\": ", ", ", "}", "\n", " ", "<tool_", "null", ";",
        ]).prop_map(str::to_owned),
        1 => "[a-z<{\\[\" \\\\]{0,4}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_same_is_read_however_the_text_is_split(
        text in answer(),
        format in prop::sample::select(vec![CallFormat::Hermes, CallFormat::Llama, CallFormat::Mistral]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).filter(|&place| text.is_char_boundary(place)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<&str> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(format, &pieces), read(format, &[&text]));
    }

    #[test]
    fn text_without_a_mark_comes_as_it_is(text in "[a-z<>_/\\[\\] \n]{0,30}") {
        for format in [CallFormat::Hermes, CallFormat::Llama, CallFormat::Mistral] {
            if format.marks().iter().all(|mark| !text.contains(mark)) {
                prop_assert_eq!(read(format, &[&text]), (text.clone(), vec![]));
            }
        }
    }
}
