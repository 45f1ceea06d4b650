//! JSON as the report has it (RFC 8259), read strictly: what is not JSON ends the test.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Index;
use std::str::Chars;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    /// Reads a text that is one value.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = Rest(text.chars().peekable());
        let value = rest.value();
        rest.skip_blanks();
        match (value, rest.0.next()) {
            (Some(value), None) => value,
            _ => panic!("not JSON: {text}"),
        }
    }

    #[track_caller]
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The text; `None` if it is null.
    #[track_caller]
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null => None,
            other => panic!("not a text: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            other => panic!("not a list: {other:?}"),
        }
    }

    /// The names of the members, sorted, with a blank between them.
    #[track_caller]
    pub(crate) fn names(&self) -> String {
        match self {
            Self::Object(members) => members.keys().cloned().collect::<Vec<_>>().join(" "),
            other => panic!("not an object: {other:?}"),
        }
    }

    /// The only element whose member has that text.
    #[track_caller]
    pub(crate) fn with(&self, name: &str, text: &str) -> &Self {
        let mut found = self
            .list()
            .iter()
            .filter(|element| element[name].text() == Some(text));
        match (found.next(), found.next()) {
            (Some(element), None) => element,
            _ => panic!("not one with {name} {text}: {self:?}"),
        }
    }
}

impl Index<&str> for Json {
    type Output = Self;

    #[track_caller]
    fn index(&self, name: &str) -> &Self {
        match self {
            Self::Object(members) => match members.get(name) {
                Some(value) => value,
                None => panic!("no {name} in {members:?}"),
            },
            other => panic!("not an object: {other:?}"),
        }
    }
}

/// What has not been read yet.
struct Rest<'a>(Peekable<Chars<'a>>);

impl Rest<'_> {
    fn skip_blanks(&mut self) {
        while self.0.next_if(|char| " \n\r\t".contains(*char)).is_some() {}
    }

    /// Takes that character, behind blanks. Returns `true` if it is there.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        self.0.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self) -> Option<Json> {
        self.skip_blanks();
        Some(match self.0.peek()? {
            '"' => Json::Text(self.text()?),
            '{' => {
                let mut members = BTreeMap::new();
                self.list('{', '}', |rest| {
                    rest.skip_blanks();
                    let name = rest.text()?;
                    let value = rest.take(':').then(|| rest.value())??;
                    members.insert(name, value).is_none().then_some(())
                })?;
                Json::Object(members)
            }
            '[' => {
                let mut list = Vec::new();
                self.list('[', ']', |rest| {
                    list.push(rest.value()?);
                    Some(())
                })?;
                Json::List(list)
            }
            't' => "true"
                .chars()
                .all(|char| self.take(char))
                .then_some(Json::Flag(true))?,
            'f' => "false"
                .chars()
                .all(|char| self.take(char))
                .then_some(Json::Flag(false))?,
            'n' => "null"
                .chars()
                .all(|char| self.take(char))
                .then_some(Json::Null)?,
            _ => {
                let mut digits = String::new();
                while let Some(digit) = self.0.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                Json::Number(digits.parse().ok()?)
            }
        })
    }

    /// Reads what is between the marks, `element` by element.
    fn list(
        &mut self,
        first: char,
        last: char,
        mut element: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if !self.take(first) || self.take(last) {
            return Some(());
        }
        loop {
            element(self)?;
            if self.take(last) {
                return Some(());
            }
            self.take(',').then_some(())?;
        }
    }

    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.0.next_if_eq(&'"')?;
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\0'..' ' => return None,
                '\\' => text.push(self.escaped()?),
                char => text.push(char),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        match self.0.next()? {
            char @ ('"' | '\\' | '/') => Some(char),
            'n' => Some('\n'),
            'u' => {
                let digits: String = self.0.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
            }
            _ => None,
        }
    }
}
