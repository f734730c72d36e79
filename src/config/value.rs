//! Values of the file, read one by one, so that one run finds every problem.
//!
//! In: parsed TOML with the place of every value. Out: typed values, each with its place; what cannot be taken
//! becomes a problem and reading goes on. Never here: what a value means for another one; that is `validate`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{At, ConfigProblems, Place, Rule};
use super::suggest::{nearest, quoted};
use super::table::{Section, Table};

/// A value being read.
#[derive(Clone)]
pub(super) struct Value<'a> {
    key: &'a str,
    value: &'a DeValue<'a>,
    place: Place,
    /// Where its key stands.
    pub(super) key_place: Place,
}

impl<'a> Value<'a> {
    pub(super) fn new(key: &'a str, value: &'a Spanned<DeValue<'a>>, file: usize) -> Value<'a> {
        let place = Place {
            file,
            span: value.span(),
        };
        Value {
            key,
            value: value.get_ref(),
            key_place: place.clone(),
            place,
        }
    }

    /// Says where its key stands.
    pub(super) fn keyed(mut self, span: std::ops::Range<usize>) -> Value<'a> {
        self.key_place.span = span;
        self
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    fn at<T>(&self, value: T) -> At<T> {
        At {
            value,
            place: self.place.clone(),
        }
    }

    /// Reports that the value has another type than the key takes.
    fn wrong_type(&self, wanted: &str, problems: &mut ConfigProblems) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let key = self.key;
        problems
            .error(
                Rule::WrongType,
                &self.place,
                format!("{key:?} has the wrong type"),
            )
            .label(format!("this is {found}"))
            .help(format!("write {wanted}"));
    }

    /// Reports a value that cannot be meant.
    pub(super) fn bad(
        &self,
        why: impl std::fmt::Display,
        help: impl Into<String>,
        problems: &mut ConfigProblems,
    ) {
        let key = self.key;
        problems
            .error(
                Rule::BadValue,
                &self.place,
                format!("{key:?} cannot be taken: {why}"),
            )
            .help(help);
    }

    /// Text.
    pub(super) fn text(&self, wanted: &str, problems: &mut ConfigProblems) -> Option<At<&'a str>> {
        match self.value.as_str() {
            Some(text) => Some(self.at(text)),
            None => {
                self.wrong_type(wanted, problems);
                None
            }
        }
    }

    /// Text that `parse` can take; its error says why not.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut ConfigProblems,
    ) -> Option<At<T>> {
        let text = self.text(wanted, problems)?;
        match parse(text.value) {
            Ok(value) => Some(self.at(value)),
            Err(error) => {
                self.bad(error, format!("write {wanted}"), problems);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(
        &self,
        words: &[(&'static str, T)],
        problems: &mut ConfigProblems,
    ) -> Option<At<T>> {
        let names = words.iter().map(|(word, _)| *word);
        let wanted = quoted(names.clone(), "or");
        let text = self.text(&wanted, problems)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(self.at(value.clone()));
        }
        let help = match nearest(text.value, names) {
            Some(near) => format!("did you mean {near:?}? It takes {wanted}"),
            None => format!("write {wanted}"),
        };
        self.bad(
            format!("{:?} is not one of its words", text.value),
            help,
            problems,
        );
        None
    }

    /// True or false.
    pub(super) fn boolean(&self, problems: &mut ConfigProblems) -> Option<At<bool>> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type("true or false, without quotes", problems);
        }
        value.map(|value| self.at(value))
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &self,
        bounds: RangeInclusive<u32>,
        problems: &mut ConfigProblems,
    ) -> Option<At<u32>> {
        let wanted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Some(number) = self.value.as_integer() else {
            self.wrong_type(&wanted, problems);
            return None;
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if bounds.contains(&value) => Some(self.at(value)),
            _ => {
                self.bad(
                    format!("{number} is out of bounds"),
                    format!("write {wanted}"),
                    problems,
                );
                None
            }
        }
    }

    /// A duration with its unit.
    pub(super) fn duration(
        &self,
        bounds: RangeInclusive<Duration>,
        problems: &mut ConfigProblems,
    ) -> Option<At<Duration>> {
        let text = |d: &Duration| humantime::format_duration(*d).to_string();
        let wanted = format!(
            "a duration with its unit, from \"{}\" to \"{}\"",
            text(bounds.start()),
            text(bounds.end())
        );
        let read = self.parsed(&wanted, humantime::parse_duration, problems)?;
        if bounds.contains(&read.value) {
            return Some(read);
        }
        self.bad("it is out of bounds", format!("write {wanted}"), problems);
        None
    }

    /// An IP address.
    pub(super) fn address(&self, problems: &mut ConfigProblems) -> Option<At<IpAddr>> {
        let wanted = "an address like \"192.0.2.10\" or \"2001:db8::10\"";
        let text = self.text(wanted, problems)?;
        match text.value.parse::<IpAddr>() {
            Ok(address) => Some(self.at(address)),
            Err(_) => {
                let help = if text.value.contains('%') {
                    "leave out the scope (\"%…\"): federation addresses are global".to_owned()
                } else if text.value.parse::<SocketAddr>().is_ok() {
                    "leave out the port: it belongs to the service".to_owned()
                } else {
                    format!("write {wanted}")
                };
                self.bad(
                    format!("{:?} is not an IP address", text.value),
                    help,
                    problems,
                );
                None
            }
        }
    }

    /// An IP address with a port.
    pub(super) fn socket(
        &self,
        example_port: u16,
        problems: &mut ConfigProblems,
    ) -> Option<At<SocketAddr>> {
        let wanted = format!("an address with its port, like \"192.0.2.1:{example_port}\"");
        let text = self.text(&wanted, problems)?;
        match text.value.parse::<SocketAddr>() {
            Ok(address) => Some(self.at(address)),
            Err(_) => {
                let help = match text.value.trim_matches(['[', ']']).parse::<IpAddr>() {
                    Ok(address) => {
                        format!(
                            "add the port: {:?}",
                            SocketAddr::new(address, example_port).to_string()
                        )
                    }
                    Err(_) => format!(
                        "write {wanted}; an IPv6 address in brackets: \"[2001:db8::1]:{example_port}\""
                    ),
                };
                self.bad(
                    format!("{:?} is not an address with a port", text.value),
                    help,
                    problems,
                );
                None
            }
        }
    }

    /// A list; its items keep the key's name.
    pub(super) fn list(
        &self,
        wanted: &str,
        problems: &mut ConfigProblems,
    ) -> Option<Vec<Value<'a>>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type(wanted, problems);
            return None;
        };
        let file = self.place.file;
        Some(
            array
                .iter()
                .map(|item| Value::new(self.key, item, file))
                .collect(),
        )
    }

    /// A list whose items are read one by one; items that cannot be taken are left out and remembered.
    pub(super) fn list_of<T>(
        &self,
        wanted: &str,
        problems: &mut ConfigProblems,
        mut read: impl FnMut(&Value<'a>, &mut ConfigProblems) -> Option<At<T>>,
    ) -> List<T> {
        let mut list = List {
            items: Vec::new(),
            whole: true,
            place: self.place.clone(),
        };
        let Some(values) = self.list(wanted, problems) else {
            list.whole = false;
            return list;
        };
        for value in values {
            match read(&value, problems) {
                Some(item) => list.items.push(item),
                None => list.whole = false,
            }
        }
        list
    }

    /// A table.
    pub(super) fn table(
        &self,
        section: &'static Section,
        problems: &mut ConfigProblems,
    ) -> Option<Table<'a>> {
        let Some(entries) = self.value.as_table() else {
            self.wrong_type(&format!("a table: {}", section.header), problems);
            return None;
        };
        Some(Table::new(entries, section, self.place.clone()))
    }

    /// A list of tables.
    pub(super) fn tables(
        &self,
        section: &'static Section,
        problems: &mut ConfigProblems,
    ) -> Vec<Table<'a>> {
        let wanted = match section.header.strip_prefix("an entry of ") {
            Some(list) => format!(
                "a list of tables: {list} = [{{ {} = … }}]",
                section.keys[0].name
            ),
            None => format!("tables: {}", section.header),
        };
        let values = self.list(&wanted, problems).unwrap_or_default();
        values
            .iter()
            .filter_map(|value| value.table(section, problems))
            .collect()
    }

    /// Whether it is a table; for keys that take a short and a long form.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Whether it is a list without items.
    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|items| items.is_empty())
    }

    /// The entries of a table whose keys the operator chooses.
    pub(super) fn open_table(
        &self,
        wanted: &str,
        problems: &mut ConfigProblems,
    ) -> Option<Vec<(At<&'a str>, Value<'a>)>> {
        let Some(entries) = self.value.as_table() else {
            self.wrong_type(wanted, problems);
            return None;
        };
        let file = self.place.file;
        let read = entries.iter().map(|(name, value)| {
            let key: &str = name.get_ref();
            let place = Place {
                file,
                span: name.span(),
            };
            (At { value: key, place }, Value::new(key, value, file))
        });
        Some(read.collect())
    }
}

/// A list as read: the items that could be taken, and whether those are all.
#[derive(Clone, Debug)]
pub(super) struct List<T> {
    pub(super) items: Vec<At<T>>,
    pub(super) whole: bool,
    pub(super) place: Place,
}
