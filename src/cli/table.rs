//! The only place that lays out columns: tables as docker prints them, where a cell ends at a tab
//! and a column is as wide as its widest cell.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::template;

const CELL_WIDTH_MIN: usize = 10;
const CELL_PADDING: usize = 3;

/// What a list command can show: its fields and how they are laid out when nothing else is asked.
#[derive(Debug)]
pub struct Listing {
    /// Each field's name in templates and its heading; an empty heading for none.
    pub fields: &'static [(&'static str, &'static str)],
    /// The template of the default table, without the word `table`.
    pub table: &'static str,
    /// The template of `--quiet`.
    pub quiet: &'static str,
}

/// One row: what a template can name.
#[derive(Debug, Default)]
pub struct Row {
    fields: Map<String, Value>,
    labels: BTreeMap<String, String>,
}

impl Row {
    /// Adds a field.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds what `.Labels` and `.Label "name"` show.
    pub fn label(&mut self, labels: &Value) -> &mut Self {
        let pairs = labels.as_object().into_iter().flatten();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        self.labels = pairs.map(|(k, v)| (k.clone(), text(v))).collect();
        let shown: Vec<String> = self
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        self.set("Labels", shown.join(","))
    }

    /// The text of a field.
    pub fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Listing {
    /// Lays out rows by `--format`, or as the default table or list of ids.
    pub fn render(
        &self,
        rows: &[Row],
        format: Option<&str>,
        quiet: bool,
    ) -> Result<String, template::Error> {
        let format = format.filter(|f| !f.is_empty()).unwrap_or("table");
        let body = match format {
            "json" => return Ok(rows.iter().map(json).collect()),
            "table" | "raw" if quiet => return self.lines(rows, self.quiet),
            "table" => self.table.to_owned(),
            _ => match format.strip_prefix("table ") {
                Some(body) => body.trim().to_owned(),
                None => return self.lines(rows, format),
            },
        };
        let template = template::Template::parse(&unescape(&body))?;
        let mut text = template.render_headings(&self.headings())?;
        text.push('\n');
        for row in rows {
            text.push_str(&template.render_row(&row.fields, &row.labels)?);
            text.push('\n');
        }
        Ok(aligned(&text))
    }

    fn lines(&self, rows: &[Row], template: &str) -> Result<String, template::Error> {
        let template = template::Template::parse(&unescape(template))?;
        let mut text = String::new();
        for row in rows {
            text.push_str(&template.render_row(&row.fields, &row.labels)?);
            text.push('\n');
        }
        Ok(text)
    }

    fn headings(&self) -> Map<String, Value> {
        let heading = |(name, heading): &(&str, &str)| ((*name).to_owned(), (*heading).into());
        self.fields.iter().map(heading).collect()
    }
}

/// A row as Go writes JSON, which spares HTML's special characters.
fn json(row: &Row) -> String {
    let text = serde_json::json!(row.fields).to_string();
    let text = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    format!("{text}\n")
}

/// Pads the tab-ended cells of neighbouring lines to columns; a line's last cell is left alone.
pub fn aligned(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|l| vec![0; l.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or_default();
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let block = widths[start..]
                .iter()
                .take_while(|w| w.len() > column)
                .count();
            let cells = lines[start..start + block]
                .iter()
                .map(|l| l[column].chars().count());
            let widest = cells.map(|w| w + CELL_PADDING).max().unwrap_or_default();
            for widths in &mut widths[start..start + block] {
                widths[column] = widest.max(CELL_WIDTH_MIN);
            }
            start += block.max(1);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (cells, widths) in lines.iter().zip(&widths) {
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(&padded(cell, *width));
        }
        out.push_str(cells.last().unwrap_or(&""));
        out.push('\n');
    }
    out
}

/// The text filled up with blanks to a width.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// A template given on a command line has no tabs: `\t` and `\n` stand for them.
fn unescape(template: &str) -> String {
    template.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: Listing = Listing {
        fields: &[("ID", "ID"), ("Name", "NAME"), ("Labels", "LABELS")],
        table: "{{.ID}}\t{{.Name}}",
        quiet: "{{.ID}}",
    };

    fn rows() -> Vec<Row> {
        let mut first = Row::default();
        first.set("ID", "u0qx7kw5dpbi").set("Name", "web");
        first.label(&serde_json::json!({"a": "1", "b": "x y"}));
        let mut second = Row::default();
        second.set("ID", "short").set("Name", "database");
        second.label(&Value::Null);
        vec![first, second]
    }

    #[track_caller]
    fn check(format: Option<&str>, quiet: bool, expect: &str) {
        let got = LISTING.render(&rows(), format, quiet);
        assert_eq!(got.as_deref().ok(), Some(expect), "{got:?}");
    }

    #[test]
    fn the_default_is_a_table_with_headings() {
        check(
            None,
            false,
            "ID             NAME\nu0qx7kw5dpbi   web\nshort          database\n",
        );
        check(None, true, "u0qx7kw5dpbi\nshort\n");
    }

    #[test]
    fn a_template_of_ones_own_may_be_a_table_or_plain_lines() {
        let table = "table {{.Name}}\\t{{upper .Labels}}";
        check(
            Some(table),
            false,
            "NAME       LABELS\nweb        A=1,B=X Y\ndatabase   \n",
        );
        check(
            Some("{{.ID}}: {{.Name}}"),
            false,
            "u0qx7kw5dpbi: web\nshort: database\n",
        );
        check(Some("{{.Label \"b\"}}"), false, "x y\n\n");
    }

    #[test]
    fn json_is_one_object_per_row() {
        check(
            Some("json"),
            false,
            "{\"ID\":\"u0qx7kw5dpbi\",\"Labels\":\"a=1,b=x y\",\"Name\":\"web\"}\n\
             {\"ID\":\"short\",\"Labels\":\"\",\"Name\":\"database\"}\n",
        );
    }

    #[test]
    fn a_field_that_does_not_exist_is_named() {
        let error = LISTING
            .render(&rows(), Some("{{.Nope}}"), false)
            .unwrap_err();
        assert!(error.to_string().contains(".Nope"), "{error}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_at_least_ten() {
        assert_eq!(
            aligned("a\tb\tc\nlonger cell\t\td\n"),
            "a             b         c\nlonger cell             d\n"
        );
    }
}
