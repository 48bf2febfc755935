use std::time::{Duration, Instant};

use super::{END, grammars, words};
use crate::structure::{Form, Matcher};

fn matcher(form: &Form) -> Matcher {
    grammars().compile(form).unwrap().matcher()
}

/// Whether an answer may be this text, taken byte by byte.
fn takes(matcher: &mut Matcher, text: &str) -> bool {
    for byte in text.bytes() {
        if matcher.is_done() || !matcher.mask().unwrap().allows(u32::from(byte)) {
            return false;
        }
        matcher.take(u32::from(byte)).unwrap();
    }
    matcher.is_complete()
}

fn fits(form: &Form, text: &str) -> bool {
    takes(&mut matcher(form), text)
}

#[test]
fn an_answer_may_end_only_where_its_form_is_complete() {
    let mut matcher = matcher(&Form::Regex("ab+".to_owned()));
    assert!(!matcher.mask().unwrap().allows(END));
    matcher.take(u32::from(b'a')).unwrap();
    assert!(!matcher.mask().unwrap().allows(END));
    matcher.take(u32::from(b'b')).unwrap();
    let mask = matcher.mask().unwrap();
    assert!(mask.allows(END) && mask.allows(u32::from(b'b')) && !mask.allows(u32::from(b'a')));
    assert!(matcher.is_complete() && !matcher.is_done());
}

#[test]
fn each_form_takes_what_it_says_and_nothing_else() {
    let regex = Form::Regex("[a-c]{2}|x\\.y".to_owned());
    assert!(fits(&regex, "ab") && fits(&regex, "x.y") && !fits(&regex, "abc") && !fits(&regex, "x-y") && !fits(&regex, "a"));
    let choices = Form::Choices(vec!["yes".to_owned(), "y/e.s\n\"".to_owned(), "é".to_owned()]);
    assert!(
        fits(&choices, "yes")
            && fits(&choices, "y/e.s\n\"")
            && fits(&choices, "é")
            && !fits(&choices, "y/ees\n\"")
            && !fits(&choices, "ye")
    );
    let object = Form::JsonObject;
    assert!(fits(&object, "{\"a\": [1, {}]}") && fits(&object, "{}") && !fits(&object, "[1]") && !fits(&object, "1"));
    let schema =
        Form::JsonSchema(r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}"#.to_owned());
    assert!(fits(&schema, "{\"n\": 3}") && !fits(&schema, "{\"n\": 2}") && !fits(&schema, "{}"));
    let lark = Form::Lark("start: item (\",\" item)*\nitem: /[a-z]+/ | \"(\" start \")\"".to_owned());
    assert!(fits(&lark, "a,(b,c)") && !fits(&lark, "a,") && !fits(&lark, "(a"));
}

#[test]
fn tokens_that_cross_borders_are_allowed_where_all_of_their_bytes_are() {
    let mut matcher = matcher(&Form::JsonObject);
    let token = |text: &str| (0..words().len() as u32).find(|&token| &words().bytes(token)[..] == text.as_bytes()).unwrap();
    let mask = matcher.mask().unwrap();
    assert!(mask.allows(token("{\"")) && !mask.allows(token("[[")) && !mask.allows(token("\":")));
    matcher.take(token("{\"")).unwrap();
    matcher.take(token("\":")).unwrap();
    let mask = matcher.mask().unwrap();
    assert!(mask.allows(token("[[")) && mask.allows(token("true")) && !mask.allows(token("]}")));
    assert!(!mask.allows(END) && !mask.allows(99_999));
}

#[test]
fn a_special_token_is_no_text() {
    let mask = matcher(&Form::Regex("<.*>x".to_owned())).mask().unwrap();
    assert!(mask.allows(u32::from(b'<')) && !mask.allows(END), "though its name would fit");
}

#[test]
fn json_cannot_be_blanks_without_end() {
    for form in [
        Form::JsonObject,
        Form::JsonSchema("true".to_owned()),
        Form::JsonSchema("{\"x-guidance\": {\"whitespace_flexible\": true}}".to_owned()),
    ] {
        let fits = |blanks: &str| fits(&form, &format!("{{{blanks}}}"));
        for blanks in ["", " ", "\n", "\r\n  ", "\n\t", &format!("\n{}", " ".repeat(40))] {
            assert!(fits(blanks), "{form:?} {blanks:?}");
        }
        for blanks in ["  ", "\n\n", "\t", " \n", &format!("\n{}", " ".repeat(41))] {
            assert!(!fits(blanks), "{form:?} {blanks:?}");
        }
    }
}

#[test]
fn json_ends_with_what_closes_it_and_nothing_else_does() {
    let object = Form::JsonSchema(r#"{"type": "object", "properties": {"a": {"type": ["object", "string", "integer"]}}}"#.to_owned());
    for (form, text, ends) in [
        (object.clone(), "{\"a\": {}}", true),
        (object.clone(), "{\"a\": {}", false),
        (object, "{\"a\": \"}\"", false),
        (Form::JsonSchema(r#"{"type": "string"}"#.to_owned()), "\"a\"", true),
        (Form::JsonSchema(r#"{"type": "integer"}"#.to_owned()), "12", false),
        (Form::Regex("a}*".to_owned()), "a}", false),
    ] {
        let mut matcher = matcher(&form);
        text.bytes().for_each(|byte| matcher.take(byte.into()).unwrap());
        assert_eq!(matcher.is_closed_by(&text.as_bytes()[text.len() - 1..]), ends, "{form:?} {text}");
    }
}

#[test]
fn matchers_of_one_grammar_know_nothing_of_each_other() {
    let grammar = grammars().compile(&Form::Regex("[ab]c".to_owned())).unwrap();
    let (mut one, mut other) = (grammar.matcher(), grammar.matcher());
    assert!(takes(&mut one, "ac"));
    assert!(one.is_done() && !other.is_done());
    assert!(takes(&mut other, "bc"));
    assert!(takes(&mut grammar.matcher(), "ac"));
}

#[test]
fn a_model_without_an_end_token_ends_where_nothing_can_follow() {
    let grammars = crate::structure::Grammars::new(&words(), &[]).unwrap();
    let mut matcher = grammars.compile(&Form::Regex("ab".to_owned())).unwrap().matcher();
    assert!(takes(&mut matcher, "ab"));
    assert!(matcher.is_done());
}

#[test]
fn a_form_that_cannot_be_is_refused_by_its_name() {
    let refuse = |form: Form| grammars().compile(&form).unwrap_err().to_string();
    let schema = |text: &str| refuse(Form::JsonSchema(text.to_owned()));
    for (message, parts) in [
        (schema("{"), vec!["format.json_schema: is not JSON"]),
        (schema("3"), vec!["format.json_schema: must be an object"]),
        (schema("false"), vec!["format.json_schema: must be an object"]),
        (schema(r#"{"type": "thing"}"#), vec!["format.json_schema: ", "thing"]),
        (schema(r#"{"not": {"type": "string"}}"#), vec!["format.json_schema: ", "not"]),
        (schema(r#"{"type": "array", "uniqueItems": true}"#), vec!["format.json_schema: ", "uniqueItems"]),
        (schema(r#"{"$ref": "http://example.com/a.json"}"#), vec!["format.json_schema: "]),
        (schema(r#"{"type": "integer", "minimum": 5, "maximum": 4}"#), vec!["format.json_schema: "]),
        (
            schema(&format!("{{\"properties\": {{{}}}}}", keys(513))),
            vec!["format.json_schema: an object has 513 properties; at most 512 are taken"],
        ),
        (refuse(Form::Regex("(".to_owned())), vec!["format.regex: "]),
        (refuse(Form::Regex("(?=a)b".to_owned())), vec!["format.regex: "]),
        (refuse(Form::Lark("begin: \"a\"".to_owned())), vec!["format.grammar: "]),
        (refuse(Form::Choices(vec![])), vec!["format.choices: must be 1 to 4096 texts, not 0"]),
        (refuse(Form::Choices(vec![String::new()])), vec!["format.choices: an empty text cannot be chosen"]),
        (refuse(Form::Choices(vec!["x".repeat(300_000)])), vec!["format.choices: has 300000 bytes; at most 262144 are taken"]),
        (refuse(Form::Regex("x".repeat(20_000))), vec!["format.regex: has 20000 bytes; at most 16384 are taken"]),
    ] {
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!message.contains('\n') && message.len() < 500, "{message}");
    }
}

#[test]
fn a_hostile_form_is_refused_or_compiled_soon() {
    let grammars = grammars();
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    let chain: Vec<String> = (0..8000).map(|rule| format!("r{rule}: r{}", rule + 1)).collect();
    let schema = |text: String| Form::JsonSchema(text);
    let wide: Vec<String> = (0..512).map(|key| format!("\"k{key}\": {{\"type\": \"string\", \"maxLength\": 99999}}")).collect();
    for (name, form) in [
        ("repeats of repeats", Form::Regex("(((a{1,99}){1,99}){1,99}){1,99}b".to_owned())),
        ("a long repeat", Form::Regex("(a|b)*a(a|b){0,100000}".to_owned())),
        ("brackets in a regex", Form::Regex(nested("(", ")", 8000))),
        ("brackets in a grammar", Form::Lark(format!("start: {}", nested("(", ")", 50_000)))),
        ("a chain of rules", Form::Lark(format!("start: r0\n{}\nr8000: \"a\"", chain.join("\n")))),
        ("a ring of rules", Form::Lark("start: a\na: b\nb: a".to_owned())),
        ("a ring of terminals", Form::Lark("start: A\nA: B\nB: A".to_owned())),
        ("nested schemas", schema(nested("{\"items\":", "}", 100_000))),
        ("deep schemas", schema(format!("{}{{}}{}", "{\"type\":\"array\",\"items\":".repeat(120), "}".repeat(120)))),
        (
            "a ring of schemas",
            schema(r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##.to_owned()),
        ),
        ("a string without end", schema(r#"{"type": "string", "minLength": 1000000000}"#.to_owned())),
        ("an array without end", schema(r#"{"type": "array", "minItems": 100000000}"#.to_owned())),
        ("many keys", schema(format!("{{\"type\": \"object\", \"properties\": {{{}}}}}", wide.join(",")))),
        ("alternatives of alternatives", schema(alternatives(16))),
        ("many choices", Form::Choices((0..4096).map(|index| format!("{index} {}", "x".repeat(50))).collect())),
    ] {
        let start = Instant::now();
        let compiled = grammars.compile(&form);
        if let Ok(grammar) = &compiled {
            drop(grammar.matcher().mask());
        }
        let took = start.elapsed();
        // Each takes 200 ms at most where a core is free; without the limits some take minutes.
        assert!(took < Duration::from_secs(10), "{name} took {took:?}: {:?}", compiled.err());
    }
}

/// A schema that is 2 to the power of `depth` schemas when it is written out.
fn alternatives(depth: usize) -> String {
    let link = |level: usize| format!(r##""l{level}": {{"allOf": [{{"$ref": "#/$defs/l{0}"}}, {{"$ref": "#/$defs/l{0}"}}]}}"##, level + 1);
    let links: Vec<String> = (0..depth).map(link).collect();
    format!(r##"{{"$ref": "#/$defs/l0", "$defs": {{{}, "l{depth}": {{"type": "string"}}}}}}"##, links.join(", "))
}

fn keys(count: usize) -> String {
    let keys: Vec<String> = (0..count).map(|key| format!("\"k{key}\": {{}}")).collect();
    keys.join(",")
}

#[test]
fn an_object_may_have_as_many_optional_properties_as_are_taken() {
    let mut matcher = matcher(&Form::JsonSchema(format!("{{\"type\": \"object\", \"properties\": {{{}}}}}", keys(512))));
    assert!(takes(&mut matcher, "{\"k3\": 1, \"k511\": 2}"));
}
