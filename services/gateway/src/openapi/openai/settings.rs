//! The fields of settings, which every door that writes text has.

use crate::{
    generation::{
        format::MAX_CHOICES,
        settings::{
            BIAS, MAX_ANSWERS, MAX_BIASED, MAX_REPETITION_PENALTY, MAX_STOP, MAX_STOP_BYTES, MAX_STOP_TOKENS, MAX_TOP_P, MIN_P, PENALTY,
            TEMPERATURE,
        },
    },
    openapi::schema::{Object, Schema},
};

/// See the module.
pub(crate) fn settings() -> Object {
    choosing(Object::new("How tokens are chosen, when an answer ends, and what it looks like."))
        .with(ending(Object::new("")))
        .with(looking(Object::new("")))
}

fn choosing(object: Object) -> Object {
    let own = "Absent: the model's own.";
    let biases = Schema::map(
        Schema::number("What is added to the token's logarithm.").within(&BIAS),
        "Tokens by their ids that are to be likelier or less likely.",
    );
    object
        .maybe("temperature", Schema::number(&format!("0 takes the likeliest token; more makes answers vary. {own}")).within(&TEMPERATURE))
        .maybe("top_k", Schema::whole(&format!("Only so many of the likeliest tokens; 0 and -1: all. {own}")).from(-1))
        .maybe("top_p", Schema::number(&format!("Only the likeliest tokens that have this much together. {own}")).above_zero(MAX_TOP_P))
        .maybe("min_p", Schema::number(&format!("Only tokens that have this part of the likeliest one's. {own}")).within(&MIN_P))
        .maybe(
            "repetition_penalty",
            Schema::number("Over 1: what was read or written becomes less likely.").above_zero(MAX_REPETITION_PENALTY),
        )
        .maybe("frequency_penalty", Schema::number("Less likely by how often it was written.").within(&PENALTY))
        .maybe("presence_penalty", Schema::number("Less likely once it was written.").within(&PENALTY))
        .maybe("logit_bias", biases.at_most(MAX_BIASED))
        .maybe("seed", Schema::whole("The same seed and settings give the same answer. Any number of 64 bits."))
        .maybe("n", Schema::count("How many answers.").between(1..=MAX_ANSWERS).default(1))
}

fn ending(object: Object) -> Object {
    let most = || Schema::count("The most tokens of an answer; absent: as many as there is room for.").from(1);
    let stop = || Schema::text(&format!("A text, of {MAX_STOP_BYTES} bytes at most.")).some().no_longer(MAX_STOP_BYTES);
    let stops =
        Schema::either([stop(), Schema::list(stop(), "Several.").at_most(MAX_STOP)], "Texts that end an answer; they are not part of it.");
    object
        .maybe("max_tokens", most())
        .maybe("max_completion_tokens", most().says("The same by its newer name; it counts where both are there."))
        .maybe("stop", stops)
        .maybe("stop_token_ids", Schema::list(Schema::count("A token's id."), "Tokens that end an answer.").at_most(MAX_STOP_TOKENS))
        .maybe("ignore_eos", Schema::flag("Whether to write on where the model would end.").default(false))
}

fn looking(object: Object) -> Object {
    let schema = || {
        let open = Schema::map(Schema::any("As JSON Schema has it."), "An object.");
        Schema::either([open, Schema::text("The same as a text.")], "A JSON Schema that the answer is held to.")
    };
    let choices = || Schema::list(Schema::text("A text."), "Texts of which the answer is one.").at_most(MAX_CHOICES);
    let json_schema = Object::new("A JSON Schema.")
        .maybe("name", Schema::text("Taken and not used."))
        .maybe("strict", Schema::flag("Taken and not used: an answer is always held to its schema."))
        .maybe("schema", schema());
    let format = Object::new("What the answer has to look like.")
        .must("type", Schema::word(&["text", "json_object", "json_schema"], "Which form."))
        .maybe("json_schema", json_schema.schema());
    let structured = Object::new("The same in vLLM's words. One of them.")
        .maybe("json", schema())
        .maybe("regex", Schema::text("A regular expression."))
        .maybe("grammar", Schema::text("A grammar in Lark's form."))
        .maybe("choice", choices())
        .maybe("json_object", Schema::flag("Any object of JSON."));
    object
        .maybe("response_format", format.schema())
        .maybe("structured_outputs", structured.schema())
        .maybe("guided_json", schema())
        .maybe("guided_regex", Schema::text("A regular expression that the answer is held to."))
        .maybe("guided_grammar", Schema::text("A grammar in Lark's form that the answer is held to."))
        .maybe("guided_choice", choices())
}
