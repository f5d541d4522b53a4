//! The guides to identity providers: the same sections in each, one audience for each cluster, and the token that a page
//! shows judged by the authenticators that it shows. Nothing here asks a provider; those that can run on this machine are
//! followed by `tests/tests/guides_idp.rs`.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read has failed the test")]

#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use latchkey_concierge::time::UnixTime;
use serde::Deserialize as _;
use serde_json::{Value, json};

use self::issuer::{key, key_set};

const GUIDES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/guides/idp");

/// Every provider that the folder's index promises.
const PROVIDERS: [&str; 9] = ["auth0", "authentik", "dex", "entra", "gitlab", "google", "keycloak", "okta", "zitadel"];

/// What every guide tells, in this order: whoever has read one finds their way in the next.
const SECTIONS: [&str; 9] = [
    "What you make",
    "The settings",
    "The authenticators",
    "The fleet list",
    "The kubeconfig",
    "Is it right?",
    "What goes wrong",
    "Many clusters",
    "Sources",
];

/// Of one page, what can be held against the code.
struct Guide {
    text: String,
    folder: PathBuf,
}

impl Guide {
    fn of(provider: &str) -> Self {
        // Tests run side by side.
        static READERS: AtomicU32 = AtomicU32::new(0);
        let text = fs::read_to_string(format!("{GUIDES}/{provider}.md")).unwrap();
        let reader = READERS.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guide-{provider}-{reader}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { text, folder }
    }

    /// What stands between a line "```language tag" and the next "```".
    fn blocks(&self, opening: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while lines.by_ref().any(|line| line == format!("```{opening}")) {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect());
        }
        blocks
    }

    fn json(&self, tag: &str) -> Value {
        let [block] = &self.blocks(&format!("json {tag}"))[..] else { panic!("one block json {tag}") };
        serde_json::from_str(block).unwrap()
    }

    /// All objects for this cluster.
    fn objects(&self, cluster: &str) -> Vec<Value> {
        let texts = [self.blocks(&format!("yaml {cluster}")), self.blocks("yaml both")].concat();
        let documents = texts.iter().flat_map(|text| serde_norway::Deserializer::from_str(text));
        documents.map(|document| Value::deserialize(document).unwrap()).collect()
    }

    fn authenticator(&self, cluster: &str) -> Value {
        let found: Vec<Value> = self.of_kind(cluster, "JWTAuthenticator");
        let [one] = &found[..] else { panic!("one authenticator for {cluster}, found {}", found.len()) };
        one.clone()
    }

    fn of_kind(&self, cluster: &str, kind: &str) -> Vec<Value> {
        self.objects(cluster).into_iter().filter(|object| object["kind"] == kind).collect()
    }

    /// `check` in this cluster, as its administrator would ask it.
    fn check(&self, cluster: &str, token: &Value) -> Output {
        let write = |name: &str, content: String| fs::write(self.folder.join(name), content).unwrap();
        write("authenticator.yaml", self.authenticator(cluster).to_string());
        let fleet = self.of_kind(cluster, "FleetCluster");
        write("fleet.yaml", fleet.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"));
        write("keys.json", String::from_utf8(key_set([&key("rsa").jwk])).unwrap());
        let header = r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#;
        write("token.jwt", issuer::token(key("rsa"), header, &token.to_string()));
        let now = UnixTime::from_secs(token["iat"].as_i64().unwrap() + 1);
        Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"))
            .args(["check", "--authenticator=authenticator.yaml", "--fleet=fleet.yaml", "--jwks=keys.json"])
            .args([format!("--cluster-name={cluster}"), format!("--now={now}"), "--token=token.jwt".to_owned()])
            .current_dir(&self.folder)
            .output()
            .unwrap()
    }
}

fn verdict(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_guide_has_the_same_sections_and_stands_in_the_index() {
    let index = fs::read_to_string(format!("{GUIDES}/README.md")).unwrap();
    for provider in PROVIDERS {
        let guide = Guide::of(provider);
        let found: Vec<&str> = guide.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(found, SECTIONS, "{provider}");
        assert!(index.contains(&format!("({provider}.md)")), "{provider} is not in the index");
        let words = guide.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let tried = words.contains("Followed to the letter by a test");
        assert!(tried != words.contains("was not tried here"), "{provider} has to say whether it was tried");
        assert!(guide.text.contains("kubectl latchkey kubeconfig"), "{provider}");
        assert!(guide.text.contains("<https://"), "{provider} names no source");
    }
    let mut pages: Vec<String> = fs::read_dir(GUIDES)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "README")
        .collect();
    pages.sort_unstable();
    assert_eq!(pages, PROVIDERS, "a page that no test looks at");
}

#[test]
fn every_cluster_has_a_client_of_its_own_and_the_fleet_list_says_so() {
    for provider in PROVIDERS {
        let guide = Guide::of(provider);
        let [staging, production] =
            ["staging", "production"].map(|cluster| guide.authenticator(cluster)["spec"].clone());
        assert_ne!(staging["audience"], production["audience"], "{provider}");
        for (cluster, spec) in [("staging", staging), ("production", production)] {
            let fleet = guide.of_kind(cluster, "FleetCluster");
            assert_eq!(fleet.len(), 2, "{provider}");
            let member = fleet.iter().find(|member| member["metadata"]["name"] == cluster).unwrap();
            assert_eq!(member["spec"]["audiences"], json!([spec["audience"]]), "{provider}");
            assert_eq!(member["spec"]["issuers"], json!([spec["issuer"]]), "{provider}");
        }
    }
}

#[test]
fn the_token_that_a_guide_shows_is_the_user_that_it_shows_and_another_clusters_token_next_door() {
    for provider in PROVIDERS {
        let guide = Guide::of(provider);
        let token = guide.json("token");
        let answer = verdict(&guide.check("staging", &token));
        assert_eq!(answer["allowed"], true, "{provider}: {answer}");
        let shown = guide.json("user");
        for (name, value) in shown.as_object().unwrap() {
            assert_eq!(answer["user"][name], *value, "{provider}: {name} of {answer}");
        }
        for name in ["username", "uid", "groups"] {
            assert!(shown[name].is_string() || shown[name].is_array(), "{provider} shows no {name}");
        }
        // Where each client has an issuer of its own, that is what is wrong first.
        let issuers = ["staging", "production"].map(|cluster| guide.authenticator(cluster)["spec"]["issuer"].clone());
        let expected = if issuers[0] == issuers[1] { "audience-other-cluster" } else { "issuer-unknown" };
        let elsewhere = verdict(&guide.check("production", &token));
        assert_eq!(elsewhere["reason"], expected, "{provider}: {elsewhere}");
    }
}

/// Without its one rule or claim that matters, a token of a stranger would pass: each page's rules are held against one.
#[test]
fn the_tokens_of_strangers_are_refused() {
    for provider in PROVIDERS {
        let guide = Guide::of(provider);
        for block in guide.blocks("json refused") {
            let changes: Value = serde_json::from_str(&block).unwrap();
            let mut token = guide.json("token");
            let reason = changes["reason"].as_str().unwrap();
            for (name, value) in changes["changed"].as_object().unwrap() {
                if value.is_null() {
                    token.as_object_mut().unwrap().remove(name);
                } else {
                    token[name] = value.clone();
                }
            }
            let answer = verdict(&guide.check("staging", &token));
            assert_eq!(answer["reason"], reason, "{provider}: {block}: {answer}");
        }
    }
}

#[test]
fn groups_bear_their_prefix_wherever_a_binding_names_them() {
    for provider in PROVIDERS {
        let guide = Guide::of(provider);
        let bindings = guide.of_kind("staging", "ClusterRoleBinding");
        assert!(!bindings.is_empty(), "{provider} binds nobody");
        let user = guide.json("user");
        for binding in bindings {
            for subject in binding["subjects"].as_array().unwrap() {
                let name = subject["name"].as_str().unwrap();
                assert!(name.starts_with(&format!("{provider}:")), "{provider}: {name}");
                let known = match subject["kind"].as_str().unwrap() {
                    "Group" => user["groups"].as_array().unwrap().contains(&subject["name"]),
                    _ => user["username"] == subject["name"],
                };
                assert!(known, "{provider}: nobody on the page is {name}");
            }
        }
    }
}
