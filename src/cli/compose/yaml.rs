//! YAML as Compose files have it: a tree of what stands there, each part with its line. Anchors,
//! aliases and merge keys are resolved; scalars keep their text, whose meaning is the reader's.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::cli::compose::Fault;

/// Parts of a file, those counted again that an alias repeats.
const NODES_MAX: usize = 100_000;

/// What aliases may repeat.
const REPEATED_BYTES_MAX: usize = 16 << 20;
const DEPTH_MAX: usize = 64;
const MERGE_KEY: &str = "<<";

/// A part of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub line: usize,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
}

/// A text, which may stand for something else.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    pub text: String,
    /// Without quotes it may be a number, a switch or nothing.
    pub is_plain: bool,
    /// A variable stood in it: it is whatever is wanted there.
    pub is_filled: bool,
}

/// What a scalar is.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    Nothing,
    Switch(bool),
    Whole(i64),
    Number(f64),
    Text,
}

impl Scalar {
    pub fn meaning(&self) -> Meaning {
        if !self.is_plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Meaning::Nothing,
            "true" | "True" | "TRUE" => return Meaning::Switch(true),
            "false" | "False" | "FALSE" => return Meaning::Switch(false),
            _ => {}
        }
        if let Some(number) = whole(&self.text) {
            return Meaning::Whole(number);
        }
        let begins = self.text.trim_start_matches(['-', '+', '.']);
        let is_number = begins.starts_with(|c: char| c.is_ascii_digit());
        match self.text.parse() {
            Ok(number) if is_number => Meaning::Number(number),
            _ => Meaning::Text,
        }
    }

    /// What a switch is set to, in all the words of older YAML.
    pub fn switch(&self) -> Option<bool> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" if self.is_loose() => Some(true),
            "false" | "no" | "off" | "n" if self.is_loose() => Some(false),
            _ => None,
        }
    }

    /// The whole number that it is, or that a variable made of it.
    pub fn whole(&self) -> Option<i64> {
        whole(&self.text).filter(|_| self.is_loose())
    }

    fn is_loose(&self) -> bool {
        self.is_plain || self.is_filled
    }
}

/// A whole number: decimal, `0x1f`, `0o17`, `0b11`, or octal as `017`.
fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x', ..] => (&digits[2..], 16),
        [b'0', b'o', ..] => (&digits[2..], 8),
        [b'0', b'b', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    number.checked_mul(sign)
}

impl Node {
    /// The tree of a file's text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut builder = Builder {
            parser: Parser::new_from_str(text),
            anchors: BTreeMap::new(),
            nodes: 0,
            repeated: 0,
        };
        builder.document()
    }

    fn nothing(line: usize) -> Self {
        let scalar = Scalar {
            text: String::new(),
            is_plain: true,
            is_filled: false,
        };
        Self {
            line,
            content: Content::Scalar(scalar),
        }
    }

    pub fn is_nothing(&self) -> bool {
        // What a variable made empty is an empty text, as for docker, which fills in later.
        let Content::Scalar(scalar) = &self.content else {
            return false;
        };
        !scalar.is_filled && scalar.meaning() == Meaning::Nothing
    }

    /// Bytes of all texts.
    fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Scalar(scalar) => scalar.text.len(),
            Content::List(items) => items.iter().map(Self::text_bytes).sum(),
            Content::Map(entries) => {
                let bytes = |(key, node): &(String, Self)| key.len() + node.text_bytes();
                entries.iter().map(bytes).sum()
            }
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }

    fn depth(&self) -> usize {
        let deepest: Option<usize> = match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.iter().map(Self::depth).max(),
            Content::Map(entries) => entries.iter().map(|(_, node)| node.depth()).max(),
        };
        1 + deepest.unwrap_or(0)
    }
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// Bytes of text that aliases repeat.
    repeated: usize,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            match event {
                Event::StreamEnd => return Ok(found.unwrap_or_else(|| Node::nothing(1))),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(Fault::new(line, "a second document begins here"));
                }
                Event::DocumentStart(_) => {}
                event => found = Some(self.node(event, line, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Fault::new(error.marker().line(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, Fault> {
        self.count(line, 1)?;
        if depth > DEPTH_MAX {
            return Err(Fault::new(
                line,
                format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let (content, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, line, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let is_text =
                    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                known(tag, line)?;
                let scalar = Scalar {
                    text: text.into_owned(),
                    is_plain: style == ScalarStyle::Plain && !is_text,
                    is_filled: false,
                };
                (Content::Scalar(scalar), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                known(tag.as_deref(), line)?;
                (Content::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                known(tag.as_deref(), line)?;
                (Content::Map(self.map(depth)?), anchor)
            }
            _ => return Err(Fault::new(line, "the file ends too early")),
        };
        let node = Node { line, content };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, line: usize, nodes: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        match self.nodes > NODES_MAX {
            true => Err(Fault::new(line, format!("more than {NODES_MAX} parts"))),
            false => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, line: usize, depth: usize) -> Result<Node, Fault> {
        let node = self.anchors.get(&anchor);
        let node = node.ok_or_else(|| Fault::new(line, "an alias that stands in itself"))?;
        if depth + node.depth() > DEPTH_MAX {
            return Err(Fault::new(
                line,
                format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let (size, bytes) = (node.size(), node.text_bytes());
        self.count(line, size)?;
        self.repeated += bytes;
        if self.repeated > REPEATED_BYTES_MAX {
            return Err(Fault::new(
                line,
                format!("aliases repeat more than {REPEATED_BYTES_MAX} bytes of text"),
            ));
        }
        let node = self.anchors.get(&anchor).cloned();
        node.ok_or_else(|| Fault::new(line, "an alias that stands in itself"))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span.start.line(), depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Fault> {
        let (mut entries, mut merged) = (Vec::<(String, Node)>::new(), Vec::new());
        let mut lines = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span.start.line(), depth + 1)?;
            let line = key.line;
            let Content::Scalar(Scalar { text, is_plain, .. }) = key.content else {
                return Err(Fault::new(line, "a key that is no text"));
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, span.start.line(), depth + 1)?;
            if is_plain && text == MERGE_KEY {
                merged.extend(sources(value)?);
                continue;
            }
            // A fault in a block is told of where its key stands.
            if !matches!(value.content, Content::Scalar(_)) {
                value.line = line;
            }
            if let Some(first) = lines.insert(text.clone(), line) {
                let what = format!("mapping key {text:?} already defined at line {first}");
                return Err(Fault::new(line, what));
            }
            entries.push((text, value));
        }
        for (name, value) in merged {
            if !entries.iter().any(|(known, _)| *known == name) {
                entries.push((name, value));
            }
        }
        Ok(entries)
    }
}

/// The entries that a merge key brings; the first of a name counts.
fn sources(value: Node) -> Result<Vec<(String, Node)>, Fault> {
    let wrong = |line| Fault::new(line, "a merge key wants a mapping, or a list of them");
    match value.content {
        Content::Map(entries) => Ok(entries),
        Content::List(items) => {
            let mut all = Vec::new();
            for item in items {
                match item.content {
                    Content::Map(entries) => all.extend(entries),
                    _ => return Err(wrong(item.line)),
                }
            }
            Ok(all)
        }
        Content::Scalar(_) => Err(wrong(value.line)),
    }
}

fn known(tag: Option<&saphyr_parser::Tag>, line: usize) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err(Fault::new(
            line,
            format!("the tag {tag} means nothing here"),
        )),
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Builder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in words.
    fn words(node: &Node) -> String {
        match &node.content {
            Content::Scalar(scalar) => match scalar.meaning() {
                Meaning::Nothing => "nothing".to_owned(),
                Meaning::Switch(on) => format!("switch {on}"),
                Meaning::Whole(number) => format!("whole {number}"),
                Meaning::Number(number) => format!("number {number}"),
                Meaning::Text => format!("{:?}", scalar.text),
            },
            Content::List(items) => {
                let items: Vec<_> = items.iter().map(words).collect();
                format!("[{}]", items.join(", "))
            }
            Content::Map(entries) => {
                let entries = entries.iter().map(|(k, v)| format!("{k}: {}", words(v)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let said = match Node::parse(text) {
            Ok(node) => words(&node),
            Err(fault) => format!("{}: {}", fault.line, fault.what),
        };
        assert_eq!(said, expect);
    }

    #[test]
    fn scalars_mean_what_they_mean_to_dockers_reader() {
        check(
            "[1, -2, 0x10, 0440, 0o17, 1_000]",
            "[whole 1, whole -2, whole 16, whole 288, whole 15, whole 1000]",
        );
        check(
            "[1.5, .5, 1e3, 1.2.3, \"1\", 08]",
            "[number 1.5, number 0.5, number 1000, \"1.2.3\", \"1\", number 8]",
        );
        check(
            "[true, False, yes, ~, null, '']",
            "[switch true, switch false, \"yes\", nothing, nothing, \"\"]",
        );
        check("[!!str 1, inf, nan, .]", "[\"1\", \"inf\", \"nan\", \".\"]");
    }

    #[test]
    fn anchors_are_repeated_and_merge_keys_bring_what_is_not_said() {
        check("a: &x {b: 1}\nc: *x", "{a: {b: whole 1}, c: {b: whole 1}}");
        check(
            "a: &x {b: 1, d: 2}\nc: {<<: *x, b: 3}",
            "{a: {b: whole 1, d: whole 2}, c: {b: whole 3, d: whole 2}}",
        );
        check(
            "[&x {b: 1}, &y {b: 2, c: 3}, {<<: [*x, *y]}]",
            "[{b: whole 1}, {b: whole 2, c: whole 3}, {b: whole 1, c: whole 3}]",
        );
        check(
            "a: {<<: 1}",
            "1: a merge key wants a mapping, or a list of them",
        );
    }

    #[test]
    fn what_is_no_yaml_or_too_much_is_one_fault_with_its_line() {
        check("", "nothing");
        check(
            "a: 1\nb: 2\na: 3",
            "3: mapping key \"a\" already defined at line 1",
        );
        check("a: 1\n---\nb: 2", "2: a second document begins here");
        check("a:\n  b: !reset 1", "2: the tag !reset means nothing here");
        check("{[a]: 1}", "1: a key that is no text");
        check("a: &x [*x]", "1: an alias that stands in itself");
        let tabs = Node::parse("a:\n\tb: 1").unwrap_err();
        assert_eq!(tabs.line, 2, "{}", tabs.what);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let last = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", vec![last; 10].join(", "));
        }
        assert_eq!(
            Node::parse(&bomb).unwrap_err().what,
            "more than 100000 parts"
        );
        let long = "x".repeat(1 << 20);
        let many = vec!["*a"; 17].join(", ");
        assert_eq!(
            Node::parse(&format!("a: &a {long}\nb: [{many}]\n"))
                .unwrap_err()
                .what,
            "aliases repeat more than 16777216 bytes of text"
        );
        let deep = format!("{}{}", "- ".repeat(100), "x");
        assert_eq!(
            Node::parse(&deep).unwrap_err().what,
            "nested deeper than 64 levels"
        );
    }

    #[test]
    fn no_bytes_break_the_reader() {
        let mut rng = crate::host::rng::Rng::from_seed(6);
        let good = "a: &x {b: [1, 'c', \"d\"], <<: {e: |\n  f\n}}\ng: *x # h\n";
        for _ in 0..5_000 {
            let mut bytes = good.as_bytes().to_vec();
            for _ in 0..=rng.below(4) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(rng.below(128)).unwrap();
            }
            drop(Node::parse(&String::from_utf8_lossy(&bytes)));
        }
    }
}
