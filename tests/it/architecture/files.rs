//! Cycles between the files of one module, and type names used twice.
//!
//! The parser sees `use` declarations and paths that begin with `crate::`, `super::` or `self::`. A
//! name that a module re-exports by `pub use` counts for the file that declares it. The parser does
//! not see names imported by `*`, names in macros, and methods of a type that another file
//! implements. A module's own file and the files of its parts count as one: a part may use names of
//! its module, and the module re-exports names of its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{production, sources};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The path of a module: `["jobs", "poll", "queue"]`.
type Module = Vec<String>;

/// All modules, each a file, with the names that each re-exports and their origin.
struct Crate {
    texts: BTreeMap<Module, String>,
    handed_on: BTreeMap<Module, BTreeMap<String, Module>>,
}

#[test]
fn files_of_a_module_have_no_cycles() {
    let tree = Crate::read();
    let used: BTreeMap<&Module, BTreeSet<Module>> = tree
        .texts
        .keys()
        .map(|module| (module, tree.files_used_by(module)))
        .collect();
    assert!(used.values().map(BTreeSet::len).sum::<usize>() > 500);
    let circles: Vec<String> = tree
        .texts
        .keys()
        .filter_map(|module| circle_through(module, &used))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_type_name_occurs_once() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, text) in Crate::read().texts {
        for name in text.lines().filter_map(declared_type) {
            files
                .entry(name.to_owned())
                .or_default()
                .push(module.join("::"));
        }
    }
    assert!(files.len() > 400, "{}", files.len());
    files.retain(|_, places| places.len() > 1);
    assert!(files.is_empty(), "{files:#?}");
}

impl Crate {
    fn read() -> Self {
        let mut tree = Self {
            texts: BTreeMap::new(),
            handed_on: BTreeMap::new(),
        };
        for file in sources(Path::new(SOURCES)) {
            let inside = file.strip_prefix(SOURCES).unwrap().with_extension("");
            let mut module: Module = inside
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            module.pop_if(|last| last == "mod");
            if !module.contains(&"tests".to_owned()) && module != ["main"] && module != ["lib"] {
                tree.texts.insert(module, production(&file));
            }
        }
        for module in tree.texts.keys().cloned().collect::<Vec<_>>() {
            let named = tree.names_handed_on(&module);
            tree.handed_on.insert(module, named);
        }
        tree
    }

    fn names_handed_on(&self, module: &Module) -> BTreeMap<String, Module> {
        let text = &self.texts[module];
        let declarations = text.split(';').filter_map(|statement| {
            let statement = statement.trim_start();
            let (visibility, path) = statement.split_once("use ")?;
            let is_handed_on =
                visibility.starts_with("pub") && !visibility.contains(char::is_control);
            is_handed_on.then_some(path)
        });
        let paths = declarations.flat_map(branches);
        let absolute = paths.filter_map(|path| self.absolute(module, &path));
        absolute
            .filter_map(|path| Some((path.last()?.clone(), path)))
            .collect()
    }

    /// The files whose names a module uses, except its own parts and its parent modules.
    fn files_used_by(&self, module: &Module) -> BTreeSet<Module> {
        let paths = paths(&self.texts[module]).into_iter();
        let absolute = paths.filter_map(|path| self.absolute(module, &path));
        let files = absolute.map(|path| self.file_of(&path, 0));
        files
            .filter(|file| {
                !file.is_empty() && !file.starts_with(module) && !module.starts_with(file)
            })
            .collect()
    }

    /// A path relative to the root of the crate; None if it leads out of it.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while let Some((_, others)) =
                    rest.split_first().filter(|(first, _)| *first == "super")
                {
                    base.pop();
                    rest = others;
                }
            }
            part => {
                base.push(part.to_owned());
                self.texts.get(&base)?;
                rest = &rest[1..];
            }
        }
        base.extend(rest.iter().filter(|name| *name != "self").cloned());
        Some(base)
    }

    fn file_of(&self, path: &[String], depth: usize) -> Module {
        let is_file = |length: &usize| self.texts.contains_key(&path[..*length]);
        let length = (1..=path.len()).take_while(is_file).last().unwrap_or(0);
        let (file, rest) = path.split_at(length);
        let leads_to = rest
            .first()
            .and_then(|name| self.handed_on.get(file)?.get(name));
        match leads_to {
            Some(path) if depth < 4 => self.file_of(path, depth + 1),
            Some(_) | None => file.to_vec(),
        }
    }
}

/// The shortest cycle through a module.
fn circle_through(module: &Module, used: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<String> {
    let mut ways: Vec<Vec<&Module>> = used[module].iter().map(|next| vec![next]).collect();
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = *way.last()?;
            if last == module {
                let names: Vec<String> = way.iter().map(|module| module.join("::")).collect();
                return Some(names.join(" -> "));
            }
            if seen.insert(last) {
                let next = used.get(last).into_iter().flatten();
                longer.extend(next.map(|next| [&way[..], &[next]].concat()));
            }
        }
        ways = longer;
    }
    None
}

/// Every path in a text: those of `use` declarations, and those with an explicit root.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::", "use "] {
        for (place, _) in text.match_indices(root) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if !text[..place].ends_with(is_word) {
                let begin = if root == "use " { place + 4 } else { place };
                found.extend(branches(&text[begin..]));
            }
        }
    }
    found
}

/// The paths at the start of a text: `a::{b, c::d}` is two.
fn branches(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    let length = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let Some(rest) = rest.strip_prefix("::") else {
        return vec![vec![name.to_owned()]];
    };
    let after = match rest.strip_prefix('{') {
        Some(group) => parts_of(group).into_iter().flat_map(branches).collect(),
        None => branches(rest),
    };
    after
        .into_iter()
        .map(|path| [vec![name.to_owned()], path].concat())
        .collect()
}

/// The parts between the commas up to the brace that ends a group.
fn parts_of(group: &str) -> Vec<&str> {
    let (mut depth, mut begin) = (0, 0);
    let mut parts = Vec::new();
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[begin..place]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The type that a line declares. An associated type, which is indented, does not count.
fn declared_type(line: &str) -> Option<&str> {
    let is_indented = line.starts_with(' ');
    let line = line.trim_start();
    let declaration = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let (kind, rest) = declaration.split_once(' ')?;
    let is_type = match kind {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => !is_indented,
        _ => false,
    };
    let length = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    is_type.then_some(&rest[..length])
}
