//! The fleet list, and what follows from it for authenticators: at once, on every replica, and never by half a list.

use std::time::Duration;

use latchkey_concierge::{
    controllers::authenticators::{
        Source, conditions,
        files::{Folder, Pace},
    },
    fleet::SiblingName,
    index::{Authenticator, Entry},
    runtime::lease::Leadership,
};
use serde_json::{Value, json};

use crate::{
    NOON, World,
    api::{Api, FLEET, JWT},
    candidate, good_issuer, key, shows, spec,
};

fn cluster(audience: &str) -> Value {
    json!({"spec": {"audiences": [audience], "displayName": "Production", "contact": "#oncall"}})
}

fn siblings(authenticator: &Authenticator) -> Vec<String> {
    authenticator.verifier.profile().siblings.names().map(ToString::to_string).collect()
}

async fn knows(world: &World, name: &str, expected: &[&str]) {
    world
        .until("the siblings", |world| match world.entry(name) {
            Some(Entry::Ready(authenticator)) => (siblings(&authenticator) == expected).then_some(()),
            Some(Entry::Webhook(_) | Entry::NotReady(_)) | None => None,
        })
        .await;
}

#[tokio::test]
async fn a_sibling_with_our_audience_locks_the_authenticator_until_it_is_gone() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    knows(&world, "staff", &[]).await;
    world.api.put(FLEET, "staging", cluster("staging"));
    world.api.put(FLEET, "production", cluster("production"));
    knows(&world, "staff", &["production"]).await;
    let by = world.ready("staff").await;
    let owner = by.verifier.profile().siblings.owner(&issuer.base, "production").map(SiblingName::as_str);
    assert_eq!(owner, Some("production"));

    world.api.put(FLEET, "production", cluster("staging"));
    world.not_ready("staff").await;
    let message = world.api.reason(JWT, "staff", "AudienceUnique", "SharedWithCluster").await;
    assert!(
        message.contains("audience \"staging\" is cluster production's too (Production, contact: #oncall)"),
        "{message}"
    );
    assert_eq!(world.api.get(JWT, "staff")["status"]["phase"], "Error");
    assert_eq!(world.metric("latchkey_fleet_members").as_deref(), Some("2"));

    world.api.delete(FLEET, "production");
    knows(&world, "staff", &[]).await;
    world.api.reason(JWT, "staff", "AudienceUnique", "Success").await;
    assert_eq!(world.metric("latchkey_fleet_members").as_deref(), Some("1"));
}

#[tokio::test]
async fn each_change_of_the_list_is_recorded_once_by_every_replica() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    for name in ["staging", "production"] {
        api.put(FLEET, name, cluster(name));
    }
    api.put(JWT, "staff", spec(&issuer));
    let (_candidate, follower) = candidate(&api);
    let replicas = [World::over(api.clone(), Leadership::alone()), World::over(api.clone(), follower)];
    for world in &replicas {
        knows(world, "staff", &["production"]).await;
    }
    api.put(FLEET, "edge", cluster("edge"));
    for world in &replicas {
        knows(world, "staff", &["edge", "production"]).await;
    }
    api.put(FLEET, "production", cluster("staging"));
    for world in &replicas {
        world.not_ready("staff").await;
    }
    // The same again is no change, nor is a watch that begins anew.
    api.put(FLEET, "production", cluster("staging"));
    api.restart();
    api.delete(FLEET, "production");
    for world in &replicas {
        knows(world, "staff", &["edge"]).await;
        let told = [
            json!({"added": ["production", "staging"], "total": 2}),
            json!({"added": ["edge"], "total": 3}),
            json!({"changed": ["production"], "total": 3}),
            json!({"removed": ["production"], "total": 2}),
        ];
        assert_eq!(world.told.of_fleet(), told);
    }
}

#[tokio::test]
async fn nobody_is_admitted_before_the_list_was_read_and_a_kind_that_is_missing_is_an_empty_list() {
    let api = Api::new();
    api.refuse(FLEET, Some(403));
    let issuer = good_issuer().await;
    api.put(JWT, "staff", spec(&issuer));
    let world = World::over(api, Leadership::alone());
    world.not_ready("staff").await;
    world.clock.advance(Duration::from_secs(3));
    let message = world.api.reason(JWT, "staff", "AudienceUnique", "UnableToValidate").await;
    assert!(message.starts_with("the fleet list is not read yet, so nobody is admitted: "), "{message}");
    assert!(matches!(world.entry("staff"), Some(Entry::NotReady(_))) && !world.synced.is_synced());

    world.api.refuse(FLEET, Some(404));
    world.ready("staff").await;
    world.api.put(FLEET, "production", cluster("staging"));
    world.api.refuse(FLEET, None);
    world.not_ready("staff").await;
}

#[tokio::test]
async fn a_watch_that_breaks_leaves_the_list_as_it_was() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(FLEET, "production", cluster("production"));
    world.api.put(JWT, "staff", spec(&issuer));
    knows(&world, "staff", &["production"]).await;
    world.api.refuse(FLEET, Some(404));
    world.api.restart();
    // The watch of the authenticators comes back, and what it tells is still held against the list.
    let mut changed = spec(&issuer);
    changed["spec"]["audience"] = json!("production");
    world.api.put(JWT, "staff", changed);
    world.not_ready("staff").await;
    world.api.reason(JWT, "staff", "AudienceUnique", "SharedWithCluster").await;
}

#[tokio::test]
async fn a_replica_that_does_not_lead_follows_as_well() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    let (_candidate, follower) = candidate(&api);
    let world = World::over(api, follower);
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    world.api.put(FLEET, "production", cluster("staging"));
    world.not_ready("staff").await;
    world.api.delete(FLEET, "production");
    world.ready("staff").await;
    assert_eq!(world.api.status_writes(), 0);
}

#[tokio::test]
async fn two_authenticators_for_the_same_tokens_are_told_of_each_other_and_both_work() {
    let (world, issuer) = (World::start(), good_issuer().await);
    for name in ["one", "two"] {
        world.api.put(JWT, name, spec(&issuer));
    }
    for (name, other) in [("one", "two"), ("two", "one")] {
        let message = world.api.reason(JWT, name, "AudienceUnique", "SharedInThisCluster").await;
        assert!(message.contains(&format!("warning: JWTAuthenticator {other} has issuer")), "{message}");
        world.ready(name).await;
    }
    world.api.delete(JWT, "two");
    world.api.reason(JWT, "one", "AudienceUnique", "Success").await;
    world.api.put(JWT, "two", spec(&issuer));
    world.api.reason(JWT, "one", "AudienceUnique", "SharedInThisCluster").await;
    let mut apart = spec(&issuer);
    apart["spec"]["audience"] = json!("robots");
    world.api.put(JWT, "two", apart);
    world.api.reason(JWT, "one", "AudienceUnique", "Success").await;
    world.api.reason(JWT, "two", "AudienceUnique", "Success").await;
}

#[tokio::test]
async fn the_list_may_come_from_files_and_a_broken_entry_still_counts() {
    let path = std::env::temp_dir().join(format!("latchkey-fleet-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&path).unwrap();
    let write = |name: &str, object: &Value| {
        let (new, whole) = (path.join("new"), path.join(name));
        std::fs::write(&new, object.to_string()).unwrap();
        std::fs::rename(new, whole).unwrap();
    };
    let object = |audience: &str| {
        let mut object = cluster(audience);
        object["apiVersion"] = json!("config.concierge.latchkey.dev/v1alpha1");
        object["kind"] = json!("FleetCluster");
        object["metadata"] = json!({"name": "production"});
        object
    };
    let keys = json!({"keys": [key("one")]}).to_string();
    let staff = json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
        "kind": "JWTAuthenticator",
        "metadata": {"name": "staff"},
        "spec": {"issuer": "https://idp.example.com", "audience": "staging", "jwks": {"inline": keys}},
    });
    write("production.json", &object("production"));
    let pace = Pace { look: Duration::from_millis(5), settle: Duration::from_millis(5) };
    let lonely = Folder::open(path.clone(), pace).await.unwrap_err().to_string();
    assert!(lonely.contains("holds no authenticator that can be read: put JWTAuthenticator"), "{lonely}");

    write("staff.json", &staff);
    let folder = Folder::open(path.clone(), pace).await.unwrap();
    let (sender, shown) = conditions();
    let source = Source::Folder { folder, conditions: sender, client: None };
    let world = World::of(source, Api::new(), Leadership::alone(), NOON);
    knows(&world, "staff", &["production"]).await;
    write("production.json", &object("staging"));
    world.not_ready("staff").await;
    assert!(shown.to_string().contains("\"SharedWithCluster\""), "{shown}");

    let mut misspelt = object("production");
    misspelt["spec"]["audience"] = json!("staging");
    write("production.json", &misspelt);
    write("other.json", &json!({"kind": "nothing"}));
    shows(&shown, "production.json").await;
    assert!(matches!(world.entry("staff"), Some(Entry::NotReady(_))), "what it said before counts on");
    write("production.json", &object("production"));
    world.ready("staff").await;
    std::fs::remove_dir_all(path).unwrap();
}
