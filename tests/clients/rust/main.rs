//! What a Rust program does with a person's kubeconfig, by kube-rs. See `../README.md`.

use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, Result};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Namespace};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    latchkey_e2e::install_crypto();
    let cluster = Client::try_default().await?;
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info).context("a user")?;
    let namespaces = Api::<Namespace>::all(cluster).list(&ListParams::default()).await?;
    let mut left = String::new();
    io::stdin().read_to_string(&mut left)?;
    let seen = json!({
        "user": user.username,
        "groups": user.groups,
        "namespaces": namespaces.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(),
        "stdin": left,
    });
    writeln!(io::stdout(), "{seen}")?;
    Ok(())
}
