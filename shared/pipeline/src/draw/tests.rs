use super::*;

fn plan() -> Plan {
    let text = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1]\n\
        [[step]]\nname = 'a'\nmodel = 'm@2'\nfallback = ['n']\ninputs = { x = 'input.x' }\noptional = true\n\
        [[step]]\nname = 'b'\nmodel = 'm'\ninputs = { x = 'input.x' }\nmap = { over = ['x'] }\nwhen = { value = 'a.<y>', is = 1 }\n\
        [[output]]\nname = 'y'\nfrom = ['a.y', 'b.y', 'input.x']\n";
    Plan::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn mermaid_has_every_step_and_arrow_and_nothing_that_it_would_misread() {
    let want = "flowchart LR\n  i0([\"x\"])\n  s0[\"a<br/>m@2, or n (optional)\"]\n  s1[\"b<br/>m, for each\"]\n  o0([\"y\"])\n  i0 --> s0\n  i0 --> s1\n  \
        s0 -.->|\"#60;y#62;\"| s1\n  s0 -->|\"y\"| o0\n  s1 -.->|\"y\"| o0\n  i0 -.-> o0\n";
    assert_eq!(mermaid(&plan()), want);
}

#[test]
fn a_name_with_characters_that_xml_does_not_have_is_drawn_without_them() {
    let text = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1]\n[[step]]\nname = 'a'\nmodel = 'm'\ninputs = { x = 'input.x' }\n\
        [[output]]\nname = 'y'\nfrom = \"a.\\u0001\\uFFFE\"\n";
    let drawn = svg(&Plan::parse(text).unwrap_or_else(|problems| panic!("{problems}")));
    assert!(drawn.contains(">\u{fffd}\u{fffd}</text>") && !drawn.contains(['\u{1}', '\u{fffe}']), "{drawn}");
}

#[test]
fn the_drawing_has_a_box_for_each_step_and_is_well_formed() {
    let drawn = svg(&plan());
    assert_eq!(drawn.matches("<rect x=").count(), 4);
    assert_eq!(drawn.matches("marker-end=").count(), 6);
    assert_eq!(drawn.matches("stroke-dasharray").count(), 3);
    assert!(drawn.contains("&lt;y&gt;") && !drawn.contains("<y>"));
    assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
}
