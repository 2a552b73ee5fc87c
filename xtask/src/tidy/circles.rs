//! Modules of a crate use each other in one direction only, so that each can be read without the
//! next.
//!
//! Held against each other is what lies side by side in a folder; a folder is one with all that is in
//! it. A module and its own folder are one thing, so what a child takes from its parent is free.
//! Tests may use whatever they like. The sources are read by eye, not by a parser: paths that begin
//! with `crate` or `super` count, wherever they stand in the code.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// The names of a module, from below the crate's root.
type Module<'a> = Vec<&'a str>;

/// A crate's modules, with their texts free of tests and comments.
struct Sources<'a> {
    modules: BTreeMap<Module<'a>, (&'a Path, String)>,
}

/// By what one of a folder's modules uses another.
type Uses<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// The circles among `files`: paths from a crate's `src`, and their texts.
pub(super) fn circles(files: &[(PathBuf, String)]) -> Vec<String> {
    let sources = Sources::new(files);
    let mut folders: BTreeMap<Module, Uses> = BTreeMap::new();
    for (module, (file, text)) in &sources.modules {
        for path in paths(text) {
            let Some(target) = sources.target(module, &path) else { continue };
            let shared = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) else { continue };
            let uses = folders.entry(target[..shared].to_vec()).or_default();
            let reason = format!("{} uses {}", file.display(), path.join("::"));
            uses.entry(from).or_default().entry(to).or_insert(reason);
        }
    }
    folders.values().flat_map(|uses| uses.keys().filter_map(|name| circle(uses, name))).collect()
}

/// The shortest circle whose alphabetically first module is `first`: so each is found once.
fn circle(uses: &Uses, first: &str) -> Option<String> {
    let mut came_by: BTreeMap<&str, (&str, &String)> = BTreeMap::new();
    let mut ahead = VecDeque::from([first]);
    while let Some(from) = ahead.pop_front() {
        for (to, reason) in uses.get(from).into_iter().flatten().filter(|(to, _)| **to >= first) {
            if !came_by.contains_key(to) {
                came_by.insert(to, (from, reason));
                ahead.push_back(to);
            }
        }
    }
    let mut reasons = Vec::new();
    let mut at = first;
    loop {
        let (from, reason) = came_by.get(at)?;
        reasons.insert(0, reason.as_str());
        at = from;
        if at == first {
            return Some(format!("modules in a circle: {}", reasons.join(", ")));
        }
    }
}

impl<'a> Sources<'a> {
    fn new(files: &'a [(PathBuf, String)]) -> Self {
        let modules = files.iter().filter_map(|(path, text)| {
            let mut module: Module = path.iter().filter_map(|name| name.to_str()).collect();
            let file = module.pop()?.strip_suffix(".rs")?;
            if !matches!(file, "mod" | "lib") {
                module.push(file);
            }
            (!module.contains(&"tests")).then(|| (module, (path.as_path(), code(text))))
        });
        Self { modules: modules.collect() }
    }

    /// The module that `path`, written in `module`, leads into.
    fn target(&self, module: &[&'a str], path: &[&str]) -> Option<Module<'a>> {
        let mut at = if path[0] == "crate" { Vec::new() } else { module.to_vec() };
        for name in path {
            match *name {
                "crate" => {}
                "super" => drop(at.pop()?),
                name => at = self.step(&at, name)?,
            }
        }
        Some(at)
    }

    /// Where `name` of module `at` is: in a module below, by itself or re-exported, or in `at`.
    fn step(&self, at: &[&'a str], name: &str) -> Option<Module<'a>> {
        let child = |name: &str| {
            let below = [at, &[name]].concat();
            self.modules.keys().find(|module| **module == below).cloned()
        };
        child(name).or_else(|| {
            let (_, text) = self.modules.get(at)?;
            let re_export = uses(text).find(|path| path.last() == Some(&name));
            re_export.and_then(|path| child(path[0])).or_else(|| Some(at.to_vec()))
        })
    }
}

/// What is neither test nor comment. As rustfmt lays it out, a module ends at the next brace that is
/// indented as its beginning is.
fn code(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept += line;
            kept += "\n";
        } else if lines.next().is_some_and(|line| line.ends_with('{')) {
            let end = line.replace(line.trim(), "}");
            lines.find(|line| *line == end);
        }
    }
    kept
}

/// All paths that begin with `crate` or `super`.
fn paths(text: &str) -> Vec<Vec<&str>> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        let before = &text[..at];
        if !before.ends_with("::") && !before.ends_with(is_of_name) {
            tree(&text[at..], &[], &mut paths);
        }
    }
    paths
}

/// All paths of `use` that begin elsewhere, such as with a child's name.
fn uses(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.match_indices("use ").flat_map(|(at, keyword)| {
        let mut paths = Vec::new();
        let path = &text[at + keyword.len()..];
        tree(path.strip_prefix("self::").unwrap_or(path), &[], &mut paths);
        paths
    })
}

/// Adds the paths of a use tree at the beginning of `text`, and gives what follows it.
fn tree<'a>(text: &'a str, before: &[&'a str], paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, before, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    // `self` in braces, `*`, and what is no use tree at all.
    let path =
        if matches!(name, "" | "self") { before.to_vec() } else { [before, &[name]].concat() };
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => tree(rest, &path, paths),
        _ => {
            paths.push(path);
            let rest = rest.strip_prefix('*').unwrap_or(rest);
            match rest.strip_prefix(" as ") {
                Some(rest) => rest.trim_start_matches(is_of_name),
                None => rest,
            }
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
        circles(&files.collect::<Vec<_>>())
    }

    #[test]
    fn a_circle_is_told_by_the_paths_that_close_it() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "fn b() -> u8 {\n    super::c::deep::C(crate::d::D)\n}\n"),
            ("c.rs", "use std::fmt;\n\nuse crate::{\n    d::{self, D},\n    a::*,\n};\n"),
            ("d.rs", ""),
        ];
        assert_eq!(
            found(&files),
            ["modules in a circle: a.rs uses crate::b::B, b.rs uses super::c::deep::C, \
              c.rs uses crate::a"]
        );
        assert!(found(&files[..3]).is_empty());
    }

    #[test]
    fn a_folder_is_one_from_outside_and_has_no_circles_within() {
        let folder = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a/mod.rs", "mod x;\nmod y;\npub use x::{V, X};\n"),
            ("a/x.rs", "use super::Own;\nuse super::y::Y;\n"),
        ];
        let with = |more: &[(&'static str, &'static str)]| found(&[&folder, more].concat());
        assert!(with(&[("a/y.rs", "use super::Own;\n"), ("b.rs", "")]).is_empty());
        assert_eq!(
            with(&[("a/y.rs", "use super::X;\n"), ("b.rs", "")]),
            ["modules in a circle: a/x.rs uses super::y::Y, a/y.rs uses super::X"]
        );
        assert_eq!(
            with(&[("a/y.rs", "use crate::b::B;\n"), ("b.rs", "use crate::a::X;\n")]),
            ["modules in a circle: a/y.rs uses crate::b::B, b.rs uses crate::a::X"]
        );
    }

    #[test]
    fn tests_and_comments_use_what_they_like() {
        let test = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n";
        let before = [("lib.rs", ""), ("a.rs", "use crate::b::B;\n")];
        let with = |b: &str| found(&[&before[..], &[("b.rs", b)]].concat()).len();
        assert_eq!(with(test), 0);
        assert_eq!(with("//! See [`crate::a`].\n"), 0);
        assert_eq!(with("#[cfg(test)]\nmod tests;\n"), 0);
        assert_eq!(with(&format!("{test}\nuse crate::a::A;\n")), 1);
        assert_eq!(with("#[cfg(test)]\nmod tests;\n\nuse crate::a::A;\n"), 1);
        let in_folder = [("b/mod.rs", ""), ("b/tests.rs", "use crate::a::A;\n")];
        assert!(found(&[&before[..], &in_folder].concat()).is_empty());
    }

    #[test]
    fn what_the_root_re_exports_is_where_it_is() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::{A, Own};\n"),
        ];
        assert_eq!(
            found(&files),
            ["modules in a circle: a.rs uses crate::b::B, b.rs uses crate::A"]
        );
    }
}
