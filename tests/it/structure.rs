//! What `.github/CONTRIBUTING.md` says of the source's structure: its layers, no circle of imports,
//! and how long a function and a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::checkout::{checkout, read, sources};

/// The layers, from the bottom up: a module uses its own and those below.
const LAYERS: [&[&str]; 4] = [
    &["wire", "log"],
    &["state", "net"],
    &["os", "sys", "config"],
    &["server", "session", "resolver"],
];

/// The lines of a function, without blank ones and comments.
const FUNCTION_LINES_MAX: usize = 60;

/// The lines of a file before its tests.
const FILE_LINES_MAX: usize = 450;

/// A file of `src`: the path of its module, and its text up to its tests.
struct File {
    module: Vec<String>,
    text: String,
}

/// All files of `src` but those that are tests.
fn files() -> Vec<File> {
    let paths = sources("src").into_iter();
    let paths = paths.filter(|path| !path.to_str().unwrap().ends_with("tests.rs"));
    let files: Vec<_> = paths.map(|path| file(&path)).collect();
    assert!(files.len() > 100, "{} files", files.len());
    files
}

fn file(path: &Path) -> File {
    let mut text = read(path);
    let is_tests = |at: &usize| {
        let lines = text[*at..].lines().skip(2);
        let mut lines = lines.skip_while(|line| line.starts_with("//") || line.starts_with("#["));
        let first = lines.next();
        first.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    };
    let mut tests = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at);
    if let Some(end) = tests.find(is_tests) {
        text.truncate(end);
    }
    let name = path
        .strip_prefix(checkout("src"))
        .unwrap()
        .with_extension("");
    let mut module: Vec<_> = name
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    module.retain(|part| part != "mod" && part != "lib");
    File { module, text }
}

/// The paths of a use: `a::{b, c::{d}}` are `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        return vec![tree.into()];
    };
    let inside = inside
        .trim_end()
        .strip_suffix("}")
        .unwrap_or_else(|| panic!("{tree}"));
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, letter) in inside.char_indices().chain([(inside.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inside[start..at].trim();
                if !part.is_empty() {
                    found.extend(paths(part).iter().map(|path| format!("{before}{path}")));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The modules that a file imports from, among `modules`.
fn imports(file: &File, modules: &BTreeSet<&[String]>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for statement in file.text.split(';') {
        let is_use = |line: &&str| {
            let words = line.trim_start().split_once("use ");
            words.is_some_and(|(before, _)| matches!(before, "" | "pub ") || before.ends_with(") "))
        };
        let lines = statement.lines().skip_while(|line| !is_use(line));
        let line = lines.collect::<String>();
        let Some((_, tree)) = line.split_once("use ") else {
            continue;
        };
        for path in paths(tree) {
            let mut path: Vec<&str> = path.split("::").map(str::trim).collect();
            let mut module = match path[0] {
                "crate" => Vec::new(),
                "self" | "super" => file.module.clone(),
                _ => continue,
            };
            while matches!(path.first(), Some(&("crate" | "self" | "super"))) {
                if path.remove(0) == "super" {
                    module.pop();
                }
            }
            module.extend(path.into_iter().map(String::from));
            while !modules.contains(module.as_slice()) {
                module.pop();
            }
            if !module.is_empty() && module != file.module {
                found.push(module);
            }
        }
    }
    found
}

/// Who imports from whom.
fn edges() -> BTreeMap<String, Vec<String>> {
    let files = files();
    let modules = files.iter().map(|file| file.module.as_slice()).collect();
    let edge = |file: &File| {
        let to = imports(file, &modules);
        let to = to.iter().map(|module| module.join("::")).collect();
        (file.module.join("::"), to)
    };
    files.iter().map(edge).collect()
}

/// Follows the imports of `module` behind those of `way`, which has led here.
fn follow<'a>(
    module: &'a str,
    edges: &'a BTreeMap<String, Vec<String>>,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) {
    if let Some(start) = way.iter().position(|earlier| *earlier == module) {
        panic!("a circle of imports: {}", way[start..].join(" -> "));
    }
    if done.contains(module) {
        return;
    }
    way.push(module);
    for next in &edges[module] {
        follow(next, edges, way, done);
    }
    way.pop();
    done.insert(module);
}

#[test]
fn no_imports_go_in_a_circle() {
    let edges = edges();
    let count: usize = edges.values().map(Vec::len).sum();
    assert!(count > 500, "{count} imports are known");
    let mut done = BTreeSet::new();
    for module in edges.keys() {
        follow(module, &edges, &mut Vec::new(), &mut done);
    }
}

#[test]
fn imports_lead_to_the_same_layer_or_down() {
    let layer = |module: &str| {
        let top = module.split("::").next().unwrap();
        LAYERS.iter().position(|layer| layer.contains(&top))
    };
    for (module, imports) in &edges() {
        for import in imports {
            let up = layer(module).is_some_and(|from| layer(import) > Some(from));
            assert!(!up, "{module} is below {import}, which it imports");
        }
    }
}

#[test]
fn no_function_and_no_file_is_long() {
    for File { module, text } in files() {
        let (module, lines) = (module.join("::"), text.lines().collect::<Vec<_>>());
        let count = lines.len();
        assert!(count <= FILE_LINES_MAX, "{module} has {count} lines");
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = code.split('(').next().unwrap().contains("fn ");
            if !is_function || code.starts_with("//") {
                continue;
            }
            let is_last = |line: &&&str| line.ends_with(['{', '}', ';']);
            let has_body = lines[start..].iter().find(is_last);
            if has_body.is_some_and(|line| line.ends_with('{')) {
                let end = format!("{}}}", &line[..line.len() - code.len()]);
                let body = lines[start..].iter().take_while(|line| **line != end);
                let is_code =
                    |line: &&&str| !matches!(line.trim_start().get(..2), None | Some("//"));
                let count = body.filter(is_code).count() + 1;
                assert!(
                    count <= FUNCTION_LINES_MAX,
                    "{module}: {count} lines: {line}"
                );
            }
        }
    }
}
