//! The plan of the house, kept: who may import whom, what a pure room may not name, and that no file is an orphan.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Who may import whom: left may import right, and nothing else. `audit` has several rooms, most of them pure.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["args", "app", "config"]),
    ("args", &["audit::commands", "audit::event", "audit::show", "check", "config", "migrate", "self_test", "time"]),
    ("check", &["authn", "convert", "fleet", "idp", "index", "jwt", "mapping", "secret", "time"]),
    ("self_test", &["text"]),
    ("migrate", &["convert", "text"]),
    // idp: the proxy is parsed where it is used.
    ("config", &["audit::event", "audit::sink", "idp", "runtime", "tls"]),
    ("convert", &["cel", "fleet", "jwt", "mapping", "policy", "index", "text", "time", "token_review"]),
    (
        "controllers",
        &[
            "audit::chain",
            "audit::checkpoint",
            // What changes is recorded.
            "audit::event",
            "convert",
            "distributed",
            "fleet",
            "idp",
            "webhook",
            "token_review",
            "index",
            "strategies",
            "credential",
            "tls",
            "runtime",
            "jwt",
            "mapping",
            "policy",
            "text",
            "time",
        ],
    ),
    ("idp", &["jwt", "secret", "text", "time", "runtime", "index"]),
    // It fetches as `idp` does, and has the judge of `verdicts` finish what it began.
    ("distributed", &["authn", "idp", "index", "jwt", "mapping", "secret", "time", "verdicts"]),
    ("webhook", &["idp", "index", "runtime", "secret", "token_review"]),
    ("index", &["fleet", "jwt", "mapping", "policy", "secret", "time", "token_review"]),
    (
        "api",
        &[
            "authn",
            "distributed",
            "verdicts",
            "policy",
            "credential",
            "strategies",
            "audit::event",
            "audit::rejections",
            "audit::sink",
            "index",
            "tls",
            "runtime",
            "jwt",
            "mapping",
            "secret",
            "text",
            "time",
        ],
    ),
    (
        "review",
        &[
            "audit::event",
            "audit::rejections",
            "audit::sink",
            "authn",
            "distributed",
            "index",
            "jwt",
            "mapping",
            "runtime",
            "secret",
            "time",
            "tls",
            "token_review",
            "verdicts",
        ],
    ),
    ("authn", &["fleet", "index", "jwt", "mapping", "secret", "time", "token_review"]),
    ("verdicts", &["authn", "index", "jwt", "mapping", "secret", "time"]),
    ("strategies", &["credential", "policy", "mapping", "runtime", "text", "time"]),
    ("credential", &["policy", "mapping", "time"]),
    ("policy", &["mapping"]),
    // text: a name that must not be shown is not admitted; one list says which characters those are.
    ("mapping", &["cel", "jwt", "secret", "text", "token_review"]),
    ("cel", &[]),
    // fleet: a token of another cluster is told by whose it is, and never let in.
    ("jwt", &["fleet", "secret", "time"]),
    ("fleet", &[]),
    ("token_review", &["jwt", "secret"]),
    ("audit::chain", &[]),
    ("audit::checkpoint", &["audit::chain"]),
    (
        "audit::commands",
        &["audit::checkpoint", "audit::follow", "audit::read", "audit::show", "audit::verify", "text", "time"],
    ),
    ("audit::follow", &["audit::read", "audit::verify"]),
    ("audit::read", &["audit::chain", "audit::verify"]),
    ("audit::show", &["text", "time"]),
    ("audit::verify", &["audit::chain", "audit::checkpoint"]),
    ("audit::event", &["authn", "policy", "mapping", "jwt", "secret", "text", "time"]),
    ("audit::otel", &["time"]),
    ("audit::rejections", &["audit::event", "authn", "index", "jwt", "runtime", "secret", "text", "time"]),
    ("audit::folding", &["audit::event", "time"]),
    (
        "audit::sink",
        &[
            "audit::chain",
            "audit::checkpoint",
            "audit::event",
            "audit::folding",
            "audit::otel",
            "idp",
            "runtime",
            "time",
        ],
    ),
    ("audit", &[]),
    // credential: one way to write a certificate.
    ("tls", &["credential", "runtime", "time"]),
    ("runtime", &["time"]),
    ("secret", &[]),
    ("text", &[]),
    ("time", &[]),
    ("lib", &[]),
];

/// Rooms without doors: the same input always gives the same output.
const PURE: &[&str] = &[
    "time",
    "secret",
    "fleet",
    "cel",
    "jwt",
    "mapping",
    "policy",
    "authn",
    "credential",
    "audit::chain",
    "audit::checkpoint",
    "audit::show",
    "audit::verify",
    "audit::event",
    "audit::folding",
    "audit::otel",
    "convert",
    "text",
    "token_review",
];

/// Pure files of a room with doors: what they decide is tested with a given time and without a cluster.
const PURE_FILES: [&str; 22] = [
    "audit/rejections/merge.rs",
    "audit/rejections/series.rs",
    "audit/rejections/shelf.rs",
    "audit/rejections/sighting.rs",
    "audit/rejections/table.rs",
    "controllers/authenticators/twins.rs",
    "controllers/credential_issuer/hearsay.rs",
    "controllers/credential_issuer/plan.rs",
    "idp/issuer.rs",
    "idp/key_schedule.rs",
    "migrate/configuration.rs",
    "migrate/differences.rs",
    "migrate/flags.rs",
    "migrate/guards.rs",
    "migrate/incoming.rs",
    "migrate/names.rs",
    "migrate/objects.rs",
    "migrate/outgoing.rs",
    "migrate/pinniped.rs",
    "migrate/remarks.rs",
    "migrate/variables.rs",
    "tls/handover.rs",
];

/// What would be a door.
const DOORS: &[&str] = &[
    "tokio::",
    "axum::",
    "kube::",
    "reqwest::",
    "moka::",
    "hyper::",
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "SystemTime",
    "Instant",
    "async fn",
];

#[test]
fn rooms_import_only_what_the_plan_allows() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources() {
        // The composition root may reach every room; that nobody reaches it is checked with the others.
        if file.room == "app" {
            continue;
        }
        let Some(allowed) = arrows.get(file.room.as_str()) else {
            wrong.push(format!("{}: room {:?} is not on the plan", file.name, file.room));
            continue;
        };
        for target in file.imports() {
            if target != file.room && !allowed.contains(&target.as_str()) {
                wrong.push(format!("{}: {} may not import {target}", file.name, file.room));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_have_no_doors() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(is_pure) {
        for door in DOORS.iter().filter(|door| file.code.contains(**door)) {
            wrong.push(format!("{}: names {door}", file.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_pure(file: &Source) -> bool {
    PURE.contains(&file.room.as_str()) || PURE_FILES.contains(&file.name.as_str())
}

#[test]
fn the_index_holds_state_and_nothing_else() {
    for file in sources().into_iter().filter(|file| file.room == "index") {
        let other = file.code.replace("tokio::sync", "").replace("tokio::time::timeout", "");
        for door in DOORS.iter().filter(|door| **door != "async fn") {
            assert!(!other.contains(door), "{}: names {door}", file.name);
        }
    }
}

#[test]
fn foreign_names_stay_in_their_rooms() {
    for file in sources() {
        assert!(!file.code.contains("jsonwebtoken"), "{}: names jsonwebtoken", file.name);
        let knows_api_types =
            ["convert", "controllers", "api", "args", "audit::rejections", "config", "app", "migrate", "self_test"]
                .contains(&file.room.as_str());
        assert!(knows_api_types || !file.code.contains("latchkey_crds"), "{}: names the API types", file.name);
        let verifies = file.name.starts_with("jwt/keys") || !file.code.contains("verify_sig(");
        assert!(verifies, "{}: verifies a signature", file.name);
    }
}

#[test]
fn answers_are_made_in_one_place() {
    for file in sources().into_iter().filter(|file| ["api", "review"].contains(&file.room.as_str())) {
        let respond = file.name.starts_with("api/respond") || file.name.starts_with("review/respond");
        assert!(respond || !file.code.contains("StatusCode::"), "{}: chooses an HTTP status", file.name);
    }
}

#[test]
fn every_file_is_reached_and_says_its_duty() {
    // Those of unit tests too: one that no `mod` line declares is never compiled, and nobody is told.
    let files = every_file();
    let mut reached: BTreeSet<String> = ["lib.rs".to_owned(), "main.rs".to_owned()].into();
    loop {
        let before = reached.len();
        for file in &files {
            if reached.contains(&file.name) {
                let found: Vec<String> = file.children().into_iter().collect();
                reached.extend(found);
            }
        }
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
    // Near 400 lines look for a seam; tables may be longer, so the bound is a little above. Tests are counted, for whoever
    // reads a file reads them too: those of a long file stand in `foo/tests.rs`.
    for file in every_file() {
        let lines = file.text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines", file.name);
    }
}

struct Source {
    /// Path below `src/`.
    name: String,
    /// The room: the first part of the module path; `audit` is split.
    room: String,
    text: String,
    /// The text without comments and without the tests at its end.
    code: String,
}

impl Source {
    /// Rooms that this file names, by `crate::` or from the binary by the library's name.
    fn imports(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for prefix in ["crate::", "latchkey_concierge::"] {
            for (position, _) in self.code.match_indices(prefix) {
                let before = self.code[..position].chars().next_back();
                if before.is_some_and(|character| character.is_alphanumeric() || character == '_') {
                    continue;
                }
                rooms.extend(heads(&self.code[position + prefix.len()..]));
            }
        }
        rooms
    }

    /// Files that its `mod` lines declare.
    fn children(&self) -> BTreeSet<String> {
        let folder = match self.name.as_str() {
            "lib.rs" | "main.rs" => String::new(),
            name => format!("{}/", name.trim_end_matches(".rs")),
        };
        self.text
            .lines()
            .filter_map(|line| {
                let line =
                    line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
                line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
            })
            .map(|module| format!("{folder}{module}.rs"))
            .collect()
    }
}

/// The rooms at the start of a path: `a::b`, `{a::b, c}` or `a`.
fn heads(path: &str) -> Vec<String> {
    if let Some(list) = path.strip_prefix('{') {
        let mut depth = 0;
        let mut items = Vec::new();
        let mut item = String::new();
        for character in list.chars() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
            if character == ',' && depth == 0 {
                items.push(std::mem::take(&mut item));
            } else {
                item.push(character);
            }
        }
        items.push(item);
        return items.iter().filter(|item| !item.trim().is_empty()).flat_map(|item| heads(item.trim())).collect();
    }
    let segments: Vec<&str> = path.split("::").take(2).map(leading_word).collect();
    match segments.as_slice() {
        // A visibility, `pub(in crate::audit)`, imports nothing.
        ["audit", ..] if !path.starts_with("audit::") => Vec::new(),
        // A list of its rooms, or one of them.
        ["audit", ""] => path
            .split_once("::")
            .map_or_else(Vec::new, |(_, list)| heads(list).into_iter().map(|room| format!("audit::{room}")).collect()),
        ["audit", child, ..] => vec![format!("audit::{child}")],
        [room, ..] => vec![(*room).to_owned()],
        [] => Vec::new(),
    }
}

fn leading_word(text: &str) -> &str {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or("")
}

/// The files of the rooms. Files of unit tests belong to the room beside them and may use what they like.
fn sources() -> Vec<Source> {
    every_file().into_iter().filter(|file| !is_of_tests(&file.name)).collect()
}

/// `foo/tests.rs`, or below `foo/tests/`.
fn is_of_tests(name: &str) -> bool {
    name.split('/').any(|part| ["tests", "tests.rs"].contains(&part))
}

fn every_file() -> Vec<Source> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = without_comments_and_tests(&text);
            let mut parts = name.trim_end_matches(".rs").split('/');
            let mut room = parts.next().unwrap().to_owned();
            if let ("audit", Some(child)) = (room.as_str(), parts.next()) {
                room = format!("audit::{child}");
            }
            Source { name, room, text, code }
        })
        .collect()
}

fn without_comments_and_tests(text: &str) -> String {
    let lines: Vec<&str> = before_tests(text).lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
