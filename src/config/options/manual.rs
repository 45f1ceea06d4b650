//! The manual and the completion of bash, made from the table of options and from what `--help`
//! says of them: for tests alone, so that it costs the program nothing.
//!
//! `make man` writes `cross/man/anklet.8` and `cross/man/anklet.bash`; a test fails while they are
//! not what would be written. Prose stands in `cross/man/anklet.8.in`, with a place for the
//! synopsis, one for the options, and behind `@MORE name@` what the manual says of an option
//! beyond `--help`.

use std::fmt::Write;

use super::table::{Entry, Kind, OPTIONS};

/// The columns that a line of the source has at most: mandoc wants no more than 80.
const COLUMNS_MAX: usize = 78;

/// Where the name of an option begins in a line of `--help`, behind the two dashes.
const NAME_COLUMN: usize = 8;

/// A part of `--help`: what its heading says, and its options.
struct Section<'a> {
    heading: &'a str,
    options: Vec<Described<'a>>,
}

/// An option, the name of its value (empty for a flag), and its explanation as one line.
struct Described<'a> {
    entry: &'static Entry,
    value: &'a str,
    explanation: String,
}

/// Reads `--help`: each option line with the lines that go on explaining it, under its heading.
fn sections(help: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut heading = "";
    for line in help.lines() {
        let dashes = line
            .get(..NAME_COLUMN)
            .filter(|head| head.ends_with("  --") || head.ends_with(", --"));
        if !line.starts_with(' ') {
            heading = line;
        } else if dashes.is_some() {
            if sections.last().is_none_or(|last| last.heading != heading) {
                let options = Vec::new();
                sections.push(Section { heading, options });
            }
            let section = sections.last_mut().unwrap();
            section.options.push(option(&line[NAME_COLUMN..]));
        } else {
            let options = &mut sections.last_mut().unwrap().options;
            let explanation = &mut options.last_mut().unwrap().explanation;
            write!(explanation, " {}", line.trim()).unwrap();
        }
    }
    sections
}

/// Reads `name VALUE   explanation`.
fn option(text: &str) -> Described<'_> {
    let (words, explanation) = text.split_once("  ").unwrap();
    let (name, value) = words.split_once(' ').unwrap_or((words, ""));
    let known = OPTIONS.iter().find(|entry| entry.name == name);
    Described {
        entry: known.unwrap_or_else(|| panic!("--{name} is no option of the table")),
        value,
        explanation: explanation.trim().into(),
    }
}

/// The manual's source, of the template's text and `--help`'s.
fn manual(template: &str, help: &str) -> String {
    let sections = sections(help);
    let (head, rest) = cut(template, ".\\\" @SYNOPSIS@\n");
    let (middle, rest) = cut(rest, ".\\\" @OPTIONS@\n");
    let (mores, tail) = cut(rest, ".\\\" @END@\n");
    let mores = mores_of(mores);
    for (name, _) in &mores {
        let is_option = OPTIONS.iter().any(|entry| entry.name == *name);
        assert!(is_option, "anklet.8.in says more of --{name}: no option");
    }
    let mut text = String::from(
        ".\\\" Written by `make man` from anklet.8.in and the table of options: edit those.\n",
    );
    text.push_str(head);
    synopsis(&mut text, &sections);
    text.push_str(middle);
    introduction(&mut text, help);
    for section in &sections {
        describe(&mut text, section, &mores);
    }
    text.push_str(tail);
    text
}

fn cut<'a>(text: &'a str, mark: &str) -> (&'a str, &'a str) {
    let found = text.split_once(mark);
    found.unwrap_or_else(|| panic!("anklet.8.in has no line {mark}"))
}

/// What the template says more of options, by their names. What stands in front of the first is a
/// comment.
fn mores_of(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split(".\\\" @MORE ").skip(1);
    parts.map(|part| part.split_once("@\n").unwrap()).collect()
}

/// Every option once: flags with a letter together, then those with a value, then the others.
fn synopsis(text: &mut String, sections: &[Section<'_>]) {
    let options = || sections.iter().flat_map(|section| &section.options);
    let is_flag = |entry: &Entry| matches!(entry.kind, Kind::Flag(_));
    let flags = options().filter(|option| is_flag(option.entry));
    let letters: String = flags.filter_map(|option| option.entry.letter).collect();
    write!(text, ".Nm\n.Op Fl {letters}\n").unwrap();
    for Described { entry, value, .. } in options() {
        match (entry.letter, is_flag(entry)) {
            (Some(_), true) => {}
            (None, true) => writeln!(text, ".Op Fl -{}", entry.name).unwrap(),
            (Some(letter), false) => writeln!(text, ".Op Fl {letter} Ar {value}").unwrap(),
            (None, false) => writeln!(text, ".Op Fl -{} Ar {value}", entry.name).unwrap(),
        }
    }
}

/// The second paragraph of `--help`: what NET and DEST are.
fn introduction(text: &mut String, help: &str) {
    let paragraph = help.split("\n\n").nth(1).unwrap();
    for sentence in paragraph.replace('\n', " ").split_inclusive(". ") {
        fill(text, sentence.trim());
    }
}

/// A part of the options, as a list.
fn describe(text: &mut String, section: &Section<'_>, mores: &[(&str, &str)]) {
    let (title, aside) = match section.heading.split_once(" (") {
        Some((title, aside)) => (title, aside.strip_suffix(')').unwrap()),
        None => (section.heading, ""),
    };
    writeln!(text, ".Ss {title}").unwrap();
    if !aside.is_empty() {
        fill(text, &sentence(aside));
    }
    text.push_str(".Bl -tag -width Ds\n");
    for Described {
        entry,
        value,
        explanation,
    } in &section.options
    {
        text.push_str(".It ");
        if let Some(letter) = entry.letter {
            write!(text, "Fl {letter} , ").unwrap();
        }
        write!(text, "Fl -{}", entry.name).unwrap();
        if !value.is_empty() {
            write!(text, " Ar {value}").unwrap();
        }
        text.push('\n');
        fill(text, &sentence(explanation));
        let more = mores.iter().find(|(name, _)| *name == entry.name);
        text.push_str(more.map_or("", |(_, more)| more));
    }
    text.push_str(".El\n");
}

/// With a capital letter in front and a full stop behind.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().unwrap().to_ascii_uppercase();
    format!("{first}{}.", letters.as_str())
}

/// Adds text in lines of the manual's source.
fn fill(text: &mut String, sentence: &str) {
    let mut columns = 0;
    for word in sentence.replace("--", "\\-\\-").split(' ') {
        if columns > 0 && columns + 1 + word.len() > COLUMNS_MAX {
            text.push('\n');
            columns = 0;
        }
        if columns > 0 {
            text.push(' ');
            columns += 1;
        }
        text.push_str(word);
        columns += word.len();
    }
    text.push('\n');
}

/// What bash offers for a value of that name, as a word of the script's function.
fn offered(value: &str) -> &'static str {
    match value {
        "FILE" => "files",
        "4|6" => "families",
        // A list: what can be named there by an interface.
        "NET,.." | "DEST,.." | "ADDR,.." | "ADDR[:PORT],.." => "interfaces",
        _ => "nothing",
    }
}

/// The completion of bash, of `--help`'s options.
fn completion(template: &str, help: &str) -> String {
    let (mut words, mut values) = (String::new(), String::new());
    for Described { entry, value, .. } in sections(help).iter().flat_map(|part| &part.options) {
        let mut names = format!("--{}", entry.name);
        if let Some(letter) = entry.letter {
            write!(names, " | -{letter}").unwrap();
        }
        writeln!(words, "\t--{}", entry.name).unwrap();
        if !value.is_empty() {
            // A name server is no interface.
            let offered = if entry.name == "dns" || entry.name == "public" {
                "nothing"
            } else {
                offered(value)
            };
            writeln!(values, "\t{names}) offered={offered} ;;").unwrap();
        }
    }
    let (head, rest) = template.split_once("\t@WORDS@\n").unwrap();
    let (middle, tail) = rest.split_once("\t@VALUES@\n").unwrap();
    format!("{head}{words}{middle}{values}{tail}")
}

mod tests {
    use std::env;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config::help::HELP;

    fn path(file: &str) -> PathBuf {
        let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        checkout.join("cross/man").join(file)
    }

    fn read(file: &str) -> String {
        let path = path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Compares a file with what it should be, or writes it where ANKLET_MAN says so.
    fn is_up_to_date(file: &str, wanted: &str) {
        if env::var_os("ANKLET_MAN").is_some_and(|how| how == "write") {
            fs::write(path(file), wanted).unwrap();
        }
        assert!(
            fs::read_to_string(path(file)).is_ok_and(|found| found == wanted),
            "cross/man/{file} is not what --help says: make man, and commit it"
        );
    }

    #[test]
    fn the_manual_has_the_options_of_help() {
        is_up_to_date("anklet.8", &manual(&read("anklet.8.in"), HELP));
    }

    #[test]
    fn the_completion_of_bash_has_the_options_of_help() {
        is_up_to_date("anklet.bash", &completion(&read("anklet.bash.in"), HELP));
    }

    #[test]
    fn every_option_of_the_table_is_read_out_of_the_help_text() {
        let sections = sections(HELP);
        let options = sections.iter().flat_map(|section| &section.options);
        let names: Vec<_> = options.map(|option| option.entry.name).collect();
        let table: Vec<_> = OPTIONS.iter().map(|entry| entry.name).collect();
        assert_eq!(names, table);
    }

    #[test]
    fn an_explanation_of_several_lines_is_one() {
        let help = "intro\n\nHow (each)\n  -q, --quiet   log\n                less\n";
        let sections = sections(help);
        assert_eq!(sections[0].heading, "How (each)");
        assert_eq!(sections[0].options[0].explanation, "log less");
    }

    #[test]
    fn an_option_in_help_alone_is_none_of_the_manual() {
        let help = format!("{HELP}      --no-such-thing           nothing\n");
        let said = std::panic::catch_unwind(|| manual(&read("anklet.8.in"), &help));
        assert!(said.is_err());
    }

    #[test]
    fn an_option_in_the_manual_alone_is_seen() {
        let without = HELP.replace("      --no-udp                  no UDP ASSOCIATE\n", "");
        assert_ne!(without, HELP);
        let template = read("anklet.8.in");
        assert_ne!(manual(&template, &without), read("anklet.8"));
        let more = template.replace("@MORE listen@", "@MORE lisp@");
        assert!(std::panic::catch_unwind(|| manual(&more, HELP)).is_err());
    }
}
