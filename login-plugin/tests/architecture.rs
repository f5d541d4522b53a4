//! The plan of the house, kept: no circles between rooms, no orphan files, and foreign names only where they belong.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that no room below them may name: they put everything together.
const TOP: [&str; 3] = ["advice", "commands", "main"];

/// Rooms without doors: the same input always gives the same output, so their tests need neither clock nor network.
const PURE: [&str; 9] = [
    "args",
    "authorization_response",
    "expiry",
    "failure",
    "providers",
    "result_page",
    "secret",
    "time",
    "unverified_claims",
];

/// What would be a door.
const DOORS: [&str; 8] =
    ["tokio::", "reqwest::Client", "hyper::", "std::fs", "std::net::Tcp", "SystemTime", "Instant", "async fn"];

#[test]
fn rooms_are_in_no_circle() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let imports = file.imports();
        arrows.entry(file.room).or_default().extend(imports);
    }
    for room in arrows.keys() {
        let mut path = vec![room.clone()];
        assert!(!leads_to(&arrows, room, room, &mut path, &mut BTreeSet::new()), "a circle: {}", path.join(" -> "));
    }
}

/// Whether somebody in `from`, or below it, names `to`; if so, `path` ends there.
fn leads_to(
    arrows: &BTreeMap<String, BTreeSet<String>>,
    from: &str,
    to: &str,
    path: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    for next in arrows.get(from).into_iter().flatten().filter(|next| *next != from) {
        path.push(next.clone());
        if next == to || (seen.insert(next.clone()) && leads_to(arrows, next, to, path, seen)) {
            return true;
        }
        path.pop();
    }
    false
}

#[test]
fn what_is_above_the_rooms_is_named_by_none() {
    for file in sources().into_iter().filter(|file| !TOP.contains(&file.room.as_str())) {
        let above: Vec<String> = file.imports().into_iter().filter(|room| TOP.contains(&room.as_str())).collect();
        assert!(above.is_empty(), "{} names {}", file.name, above.join(", "));
    }
}

#[test]
fn pure_rooms_have_no_doors() {
    for file in sources().into_iter().filter(|file| PURE.contains(&file.room.as_str())) {
        for door in DOORS {
            assert!(!file.code.contains(door), "{} names {door}", file.name);
        }
    }
}

#[test]
fn foreign_names_stay_in_their_rooms() {
    for file in sources() {
        assert!(file.room == "oidc" || !file.code.contains("openidconnect"), "{} names openidconnect", file.name);
        let may_print = file.room == "output";
        for word in ["println!", "print!(", "io::stdout", "io::stderr", "dbg!"] {
            assert!(may_print || !file.code.contains(word), "{} names {word}", file.name);
        }
        assert!(
            file.room == "environment" || file.room == "main" || !file.code.contains("env::var"),
            "{} asks the environment behind its back",
            file.name
        );
    }
}

#[test]
fn every_file_is_reached_and_says_its_duty() {
    let files = sources();
    let mut reached: BTreeSet<String> = ["main.rs".to_owned()].into();
    loop {
        let before = reached.len();
        let children: Vec<String> =
            files.iter().filter(|file| reached.contains(&file.name)).flat_map(Source::children).collect();
        reached.extend(children);
        if reached.len() == before {
            break;
        }
    }
    for file in &files {
        assert!(reached.contains(&file.name), "{} is declared by no `mod` line", file.name);
        assert!(file.text.starts_with("//! "), "{} does not open with its duty", file.name);
    }
}

#[test]
fn files_keep_one_subject() {
    for file in sources() {
        let lines = before_tests(&file.text).lines().count();
        assert!(lines <= 450, "{} has {lines} lines without its tests", file.name);
    }
}

struct Source {
    /// Path below `src/`.
    name: String,
    /// The first part of the module's path.
    room: String,
    text: String,
    /// The text without comments and without the tests at its end.
    code: String,
}

impl Source {
    /// Rooms that this file names by `crate::`.
    fn imports(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for (position, prefix) in self.code.match_indices("crate::") {
            let before = self.code[..position].chars().next_back();
            // `latchkey_crate::` is somebody else; `pub(in crate::…)` imports nothing.
            let imports = !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
                && !self.code[..position].ends_with("(in ");
            if imports {
                rooms.extend(heads(&self.code[position + prefix.len()..]));
            }
        }
        rooms
    }

    /// Files that its `mod` lines declare.
    fn children(&self) -> Vec<String> {
        let folder = match self.name.as_str() {
            "main.rs" => String::new(),
            name => format!("{}/", name.trim_end_matches(".rs")),
        };
        self.text
            .lines()
            .filter_map(|line| {
                let declaration = match line.trim_start().strip_prefix("pub(") {
                    Some(rest) => rest.split_once(") ")?.1,
                    None => line.trim_start(),
                };
                declaration.strip_prefix("mod ")?.strip_suffix(';').map(ToOwned::to_owned)
            })
            .map(|module| format!("{folder}{module}.rs"))
            .collect()
    }
}

/// The first words of a path: `a::b`, `a`, or each of `{a::b, c}`.
fn heads(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
    };
    let Some(list) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut depth = 0;
    let mut heads = vec![word(list)];
    for (position, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(&list[position + 1..])),
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn sources() -> Vec<Source> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    assert!(files.len() > 40, "the sources were not found");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = before_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
            let code = code.collect::<Vec<_>>().join("\n");
            let room = name.trim_end_matches(".rs").split('/').next().unwrap().to_owned();
            Source { name, room, text, code }
        })
        .collect()
}

fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}
