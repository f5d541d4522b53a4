//! Every authenticator that the documentation shows is one that works, and every one that the schema refuses the
//! concierge refuses too: an object may be older than its schema, or come from a file.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read has failed the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use latchkey_concierge::{app::WIND_DOWN, args::Command, config::Config, convert};
use serde::Deserialize as _;
use serde_json::Value;

const STATIC_POD_AUTHENTICATORS: &str = "deploy/examples/static-pod/authenticators";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The documents of a YAML text.
fn documents(text: &str) -> impl Iterator<Item = Value> {
    serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap())
}

/// The YAML of a page: what stands between a line "```yaml" and the next "```", however far it is moved in.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(opening) = lines.by_ref().find(|line| line.trim_start().starts_with("```yaml")) {
        let indent = opening.len() - opening.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect());
    }
    blocks
}

/// All authenticators shown, each with the place where it stands.
fn shown() -> Vec<(String, Value)> {
    let mut texts = pages();
    texts.extend(files("deploy/examples"));
    texts.extend(files("deploy/examples/access"));
    texts.extend(files(STATIC_POD_AUTHENTICATORS));
    texts.extend(files("crds/tests/good_objects").into_iter().filter(|(path, _)| path.ends_with("everything.yaml")));
    authenticators(texts)
}

/// The YAML of the pages: of the README and of every page in `deploy/`.
fn pages() -> Vec<(String, String)> {
    let mut pages = vec![root().join("README.md")];
    pages_in(&root().join("deploy"), &mut pages);
    let mut texts = Vec::new();
    for page in pages {
        let blocks = blocks(&fs::read_to_string(&page).unwrap());
        texts.extend(blocks.into_iter().map(|block| (page.display().to_string(), block)));
    }
    texts
}

fn pages_in(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages_in(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The YAML files of a folder.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

fn authenticators(texts: Vec<(String, String)>) -> Vec<(String, Value)> {
    of_kind("JWTAuthenticator", texts)
}

fn of_kind(kind: &str, texts: Vec<(String, String)>) -> Vec<(String, Value)> {
    let objects = texts
        .into_iter()
        .flat_map(|(place, text)| documents(&text).map(move |object| (place.clone(), object)).collect::<Vec<_>>());
    objects.filter(|(_, object)| object["kind"] == kind).collect()
}

#[test]
fn every_authenticator_that_is_shown_converts_without_a_word() {
    let shown = shown();
    for place in [
        "README.md",
        "deploy/authenticators.md",
        "access/authenticator.yaml",
        "rich.yaml",
        "corp.yaml",
        "everything.yaml",
    ] {
        assert!(shown.iter().any(|(shown, _)| shown.ends_with(place)), "no authenticator in {place}");
    }
    for (place, object) in shown {
        let problems = problems(&object);
        assert!(problems.is_empty(), "{place}: {}", problems.join("; "));
    }
}

#[test]
fn the_fleet_lists_that_are_shown_are_read_and_what_their_schema_refuses_is_refused_again() {
    let read = |object: &Value| convert::fleet_cluster(object["metadata"]["name"].as_str().unwrap(), &object["spec"]);
    let good = [pages(), files("deploy/examples/fleet"), files("crds/tests/good_objects")].concat();
    let good = of_kind("FleetCluster", good);
    for place in ["fleet/README.md", "production.yaml", "staging.yaml", "fleet-everything.yaml"] {
        assert!(good.iter().any(|(shown, _)| shown.ends_with(place)), "no FleetCluster in {place}");
    }
    for (place, object) in good {
        assert!(read(&object).is_ok(), "{place}: {}", read(&object).unwrap_err());
    }
    let bad = of_kind("FleetCluster", files("crds/tests/bad_objects"));
    assert!(bad.len() > 12);
    let taken: Vec<_> = bad.into_iter().filter(|(_, object)| read(object).is_ok()).map(|(place, _)| place).collect();
    assert!(taken.is_empty(), "{taken:#?}");
}

#[test]
fn what_the_schema_refuses_is_refused_again() {
    // Pinniped's meaning of a rule without a value, which objects of that time may have: the claim must be "". And a
    // list that is there and empty says no more than one that is absent.
    const TAKEN: [&str; 3] = ["claim-rule-without-value.yaml", "algorithms-empty.yaml", "token-types-empty.yaml"];
    let refused = authenticators(files("crds/tests/bad_objects"));
    assert!(refused.len() > 70);
    let wrong: Vec<_> = refused
        .into_iter()
        .filter(|(place, object)| problems(object).is_empty() != TAKEN.iter().any(|taken| place.ends_with(taken)))
        .map(|(place, _)| place)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_static_pod_is_a_pod_and_its_flags_name_what_it_mounts() {
    let text = fs::read_to_string(root().join("deploy/examples/static-pod/latchkey-concierge.yaml")).unwrap();
    let [manifest] = &documents(&text).collect::<Vec<_>>()[..] else { panic!("one pod") };
    let pod: Pod = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(serde_json::to_value(&pod).unwrap(), *manifest, "a field that a pod does not have");
    let spec = pod.spec.unwrap();
    let [container] = &spec.containers[..] else { panic!("one container") };
    let config = config(container.args.as_ref().unwrap());

    let mounts = container.volume_mounts.as_ref().unwrap();
    assert!(mounts.iter().all(|mount| mount.read_only == Some(true)));
    let mounted = |file: &Path| mounts.iter().any(|mount| file.starts_with(&mount.mount_path));
    let review = config.review.unwrap();
    let (certificate, key) = review.serving.unwrap();
    for file in [&config.authenticators.unwrap(), &review.client_ca_file, &certificate, &key] {
        assert!(mounted(file), "{} is not mounted", file.display());
    }
    // In the host's network: nobody but those on the node may reach it.
    assert_eq!(spec.host_network, Some(true));
    assert!(review.address.ip().is_loopback() && config.admin_address.ip().is_loopback());
    let probe = container.readiness_probe.as_ref().unwrap().http_get.as_ref().unwrap();
    assert_eq!(serde_json::to_value(&probe.port).unwrap(), config.admin_address.port());
    let given = u64::try_from(spec.termination_grace_period_seconds.unwrap()).unwrap();
    assert!(config.shutdown_grace + WIND_DOWN <= Duration::from_secs(given), "killed before its audit log is closed");
    // A static pod may name no object of the API.
    assert!(spec.service_account_name.is_none() && config.kubeconfig.is_none());
    assert!(spec.volumes.unwrap().iter().all(|volume| volume.host_path.is_some()));

    let webhook = fs::read_to_string(root().join("deploy/examples/token-review/webhook.kubeconfig")).unwrap();
    assert!(
        webhook.contains(&format!("server: https://{}/token-review", review.address)),
        "kube-apiserver asks elsewhere"
    );
    for (place, text) in files(STATIC_POD_AUTHENTICATORS) {
        assert!(convert::manifests(&text).is_ok(), "{place}");
    }
}

fn config(flags: &[String]) -> Config {
    let words = std::iter::once("latchkey-concierge".to_owned()).chain(flags.iter().cloned());
    match Command::parse(words.map(Into::into)) {
        Ok(Command::Serve(config)) => *config,
        other => panic!("{other:?}"),
    }
}

/// All that is wrong with an authenticator.
fn problems(object: &Value) -> Vec<String> {
    match convert::jwt_authenticator(&object["spec"]) {
        Err(problem) => vec![problem.to_string()],
        Ok(spec) => {
            let problems = [
                spec.issuer.err().map(|problem| problem.to_string()),
                spec.keys.err().map(|problem| problem.to_string()),
                spec.trust.err().map(|problem| problem.to_string()),
                spec.judge.err().map(|problem| problem.to_string()),
            ];
            problems.into_iter().flatten().collect()
        }
    }
}
