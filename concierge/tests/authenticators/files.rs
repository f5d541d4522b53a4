//! Authenticators from a folder, in a cluster whose API has their bundles.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::{
    controllers::authenticators::{
        Source, conditions,
        files::{Folder, Pace},
    },
    index::Entry,
    runtime::lease::Leadership,
};
use serde_json::json;

use crate::{
    NOON, World,
    api::{Api, JWT, SECRETS},
    behave, good_issuer, key, pem, shows, spec,
};

#[tokio::test]
async fn files_take_their_bundles_from_the_api_and_write_nothing_there() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    let path = std::env::temp_dir().join(format!("latchkey-files-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&path).unwrap();
    let source = json!({"kind": "Secret", "name": "idp-ca", "key": "ca.crt"});
    let manifest = json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
        "metadata": {"name": "staff"},
        "spec": {"issuer": issuer.base, "audience": "staging", "tls": {"certificateAuthorityDataSource": source}},
    });
    std::fs::write(path.join("staff.json"), manifest.to_string()).unwrap();
    let pace = Pace { look: Duration::from_millis(5), settle: Duration::from_millis(1) };
    let folder = Folder::open(path.clone(), pace).await.unwrap();
    // What the API has of the kind does not count.
    api.put(JWT, "other", spec(&issuer));
    let (sender, conditions) = conditions();
    let source = Source::Folder { folder, conditions: sender, client: Some(api.client()) };
    let world = World::of(source, api, Leadership::alone(), NOON);

    shows(&conditions, "Secret latchkey/idp-ca does not exist: create it").await;
    world.api.put(SECRETS, "idp-ca", json!({"type": "Opaque", "data": {"ca.crt": STANDARD.encode(pem(&issuer))}}));
    let authenticator = world.ready("staff").await;
    shows(&conditions, "the JWTAuthenticator is ready").await;
    // New keys would be kept in a Secret at once, if anything could own it.
    behave(&issuer, &[key("two")]);
    assert!(world.ask("staff", "two").await);
    std::fs::write(path.join("staff.json"), manifest.to_string().replace("staging", "production")).unwrap();
    let next = world.until("the next generation", |world| match world.entry("staff") {
        Some(Entry::Ready(next)) if next.generation > authenticator.generation => Some(next),
        _ => None,
    });
    assert_eq!(next.await.uid, authenticator.uid);
    assert!(world.synced.is_synced() && world.entry("other").is_none());
    assert_eq!((world.api.status_writes(), world.api.applied()), (0, 0));
    std::fs::remove_file(path.join("staff.json")).unwrap();
    world.until("its end", |world| world.entry("staff").is_none().then_some(())).await;
    shows(&conditions, "\"authenticators\": []").await;
    std::fs::remove_dir(path).unwrap();
}
