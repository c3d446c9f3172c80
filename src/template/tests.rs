use serde_json::json;

use super::*;

fn data() -> Value {
    json!({
        "ID": "abc",
        "Spec": {
            "Name": "web",
            "Labels": {"a": "1", "b-c": "2"},
            "Env": ["X=1", "Y=2"],
            "Replicas": 3,
            "Off": false,
            "Empty": [],
        },
    })
}

#[track_caller]
fn check(template: &str, expect: &str) {
    let got = Template::parse(template).and_then(|t| t.render(&data()));
    assert_eq!(got.as_deref(), Ok(expect), "{template}");
}

#[track_caller]
fn refuses(template: &str, part: &str) {
    let error = Template::parse(template)
        .and_then(|t| t.render(&data()))
        .unwrap_err();
    assert!(error.to_string().contains(part), "{template}: {error}");
}

#[test]
fn fields_are_found_at_any_depth() {
    check("{{.ID}} {{ .Spec.Name }}", "abc web");
    check("{{.Spec.Labels.a}}{{$.ID}}", "1abc");
    check("{{.Spec.Nope}}", "<no value>");
    check("{{.Spec.Replicas}} {{.Spec.Off}}", "3 false");
    check("{{.Spec.Env}} {{.Spec.Labels}}", "[X=1 Y=2] map[a:1 b-c:2]");
    check("plain } text", "plain } text");
}

#[test]
fn json_shows_any_part() {
    check("{{json .Spec.Labels}}", r#"{"a":"1","b-c":"2"}"#);
    check("{{ .Spec.Env | json }}", r#"["X=1","Y=2"]"#);
    check("{{json .Nope}}", "null");
}

#[test]
fn functions_can_be_chained_and_bracketed() {
    check("{{upper .Spec.Name}}{{.ID | upper | lower}}", "WEBabc");
    check("{{join .Spec.Env \", \"}}", "X=1, Y=2");
    check("{{title \"two words\"}}", "Two Words");
    check(
        "{{index .Spec.Labels \"b-c\"}}{{index .Spec.Env 1}}",
        "2Y=2",
    );
    check("{{len .Spec.Env}} {{len (split \"a,b,c\" \",\")}}", "2 3");
    check("{{print .ID 1 2}}{{println .ID 1}}", "abc1 2abc 1\n");
    check("{{truncate .ID 2}}{{(index .Spec.Env 0)}}", "abX=1");
    check(
        "{{eq .ID \"abc\"}} {{ne 1 2}} {{lt 1 2}} {{not .Spec.Off}}",
        "true true true true",
    );
    check("{{or .Nope .ID}} {{and .ID .Spec.Name}}", "abc web");
}

#[test]
fn blocks_choose_and_repeat() {
    check("{{if .Spec.Off}}on{{else}}off{{end}}", "off");
    check("{{if .Nope}}a{{else if .ID}}b{{else}}c{{end}}", "b");
    check("{{if .Nope}}a{{else if .Spec.Off}}b{{else}}c{{end}}.", "c.");
    check("{{range .Spec.Env}}<{{.}}>{{end}}", "<X=1><Y=2>");
    check(
        "{{range $k, $v := .Spec.Labels}}{{$k}}={{$v}};{{end}}",
        "a=1;b-c=2;",
    );
    check(
        "{{range $i, $e := .Spec.Env}}{{if $i}},{{end}}{{$e}}{{end}}",
        "X=1,Y=2",
    );
    check("{{range .Spec.Empty}}x{{else}}none{{end}}", "none");
    check("{{with .Spec}}{{.Name}}{{$.ID}}{{end}}", "webabc");
    check("{{$x := .Spec.Name}}{{$x}}", "web");
    check("a {{- /* gone */ -}} b", "ab");
}

#[test]
fn what_is_not_offered_is_named() {
    refuses(
        "{{nope .ID}}",
        "function \"nope\" not defined (known are fields, if",
    );
    refuses("{{template \"x\"}}", "\"template\"");
    refuses("{{.ID", "unclosed action");
    refuses("{{if .ID}}x", "{{end}} is missing");
    refuses("{{end}}", "unexpected {{end}}");
    refuses("{{.ID.Deeper}}", ".ID.Deeper");
    refuses("{{range .ID}}{{end}}", "range");
    refuses("{{\"open}}", "unterminated");
    refuses("{{.ID | }}", "missing value");
    refuses("{{$nope}}", "undefined variable");
    refuses("{{join .ID}}", "join");
    refuses("{{.ID}} {{}", "unexpected");
}

#[test]
fn nesting_has_a_limit() {
    refuses(&"{{if .ID}}".repeat(2_000), "nested deeper");
    refuses(
        &format!("{{{{{}.ID}}}}", "(".repeat(2_000)),
        "nested deeper",
    );
    refuses(&"x".repeat(100_000), "longer than");
}

#[test]
fn range_over_range_cannot_grow_without_end() {
    let many =
        "{{range $.Spec.Env}}".repeat(30) + &"0123456789".repeat(100) + &"{{end}}".repeat(30);
    refuses(&many, "the result is longer");
}
