//! Values become flags that the program itself takes, and there is a value for each flag.

use std::{collections::BTreeSet, ffi::OsString, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use latchkey_concierge::{
    app::WIND_DOWN,
    args::Command,
    config::{Config, Destination},
};
use serde_json::Value;

use super::{
    documents::{documents, the},
    helm::{Helm, value_files},
};

/// Flags that no value gives, and why.
const WITHOUT_VALUE: &[(&str, &str)] = &[
    ("--cluster-name", "by the variable, from the ConfigMap"),
    ("--namespace", "by the variable, from the pod itself"),
    ("--https-proxy", "by the variable: its URL may hold a password"),
    ("--no-proxy", "by the variable"),
    ("--kubeconfig", "the pod has a service account"),
    ("--authenticators", "that is for static pods"),
    ("--audit-names-key", "a Secret of the concierge's own holds it"),
    ("--audit-signing-key", "a Secret of the concierge's own holds it"),
    ("--help", "for people"),
    ("--version", "for people"),
];

#[tokio::test]
async fn the_program_takes_the_flags_and_each_has_a_value() -> Result<()> {
    let helm = Helm::new().await?;
    let mut used = BTreeSet::new();
    for values in value_files()? {
        let rendered = helm.template("latchkey", "latchkey", &["--values", &values]).await?;
        let arguments = arguments(&documents(&rendered)?)?;
        let name = |argument: &String| argument.split('=').next().unwrap_or_default().to_owned();
        used.extend(arguments.iter().map(name));
        configured(&arguments).with_context(|| format!("{values}: {arguments:?}"))?;
    }
    let Err(shown) = Command::parse(["latchkey-concierge", "--help"].map(OsString::from)) else {
        return Err(anyhow!("--help is a request for help"));
    };
    let shown = shown.to_string();
    let at_beginning =
        |line: &str| line.trim_start().split([' ', '<', '=']).find(|word| word.starts_with("--")).map(str::to_owned);
    let known: BTreeSet<_> =
        shown.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(at_beginning).collect();
    let without: BTreeSet<_> = WITHOUT_VALUE.iter().map(|(flag, _)| (*flag).to_owned()).collect();
    ensure!(known.len() > 25 && without.is_subset(&known), "{known:?}");
    let missing: Vec<_> = known.difference(&used).filter(|flag| !without.contains(*flag)).collect();
    ensure!(missing.is_empty(), "no file of values in ci/ leads to {missing:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_set_is_what_is_meant() -> Result<()> {
    let helm = Helm::new().await?;
    let config = async |set: &[&str]| -> Result<Config> {
        let set = set.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>();
        let rendered = helm.template("blue", "logins", &[&["--set", "clusterName=staging"][..], &set].concat()).await?;
        configured(&arguments(&documents(&rendered)?)?)
    };
    let usual = config(&[]).await?;
    ensure!(usual.api_service_name == "blue-latchkey-concierge-api" && usual.credential_issuer == "blue-latchkey");
    ensure!(usual.audit.sinks.iter().map(|sink| &sink.destination).eq([&Destination::Stdout]), "{:?}", usual.audit);
    ensure!(usual.aggregated_api_certificate.is_none() && usual.review.is_none());

    let ports = config(&["bindAddress=::", "ports.aggregatedAPI=10260", "ports.admin=10261"]).await?;
    ensure!(
        ports.aggregated_api_address.to_string() == "[::]:10260" && ports.admin_address.to_string() == "[::]:10261"
    );
    ensure!(config(&["apiGroupSuffix=pinniped.dev"]).await?.api_group_suffix.as_str() == "pinniped.dev");

    let secret = config(&["tls.mode=secret", "tls.secretName=serving"]).await?;
    let files = secret.aggregated_api_certificate.context("files")?;
    ensure!(files.authority == Some("/etc/latchkey/aggregated-api/ca.crt".into()), "{files:?}");
    Ok(())
}

#[tokio::test]
async fn a_pod_has_the_time_that_its_concierge_may_take_to_end() -> Result<()> {
    let helm = Helm::new().await?;
    for (set, expected) in [
        ("", 60),
        (",shutdownGrace=0s", 55),
        (",shutdownGrace=500ms", 56),
        (",shutdownGrace=010s", 65),
        (",shutdownGrace=2m", 175),
        (",shutdownGrace=99999d", 8_639_913_655),
        (",terminationGracePeriodSeconds=56", 56),
        (",terminationGracePeriodSeconds=300,shutdownGrace=4m", 300),
    ] {
        let rendered = helm.template("latchkey", "latchkey", &["--set", &format!("clusterName=a{set}")]).await?;
        let objects = documents(&rendered)?;
        let deployment = the(&objects, "Deployment", "latchkey-concierge")?;
        let given = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
        ensure!(given == Some(expected), "{set}: {given:?}");
        let grace = configured(&arguments(&objects)?)?.shutdown_grace;
        ensure!(grace + WIND_DOWN <= Duration::from_secs(expected), "{set}: {grace:?}");
    }
    let Err(shown) = Command::parse(["latchkey-concierge", "--help"].map(OsString::from)) else {
        return Err(anyhow!("--help is a request for help"));
    };
    let words = shown.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(words.contains(&format!("Ending takes up to {} seconds more", WIND_DOWN.as_secs())), "{words}");
    Ok(())
}

fn arguments(objects: &[Value]) -> Result<Vec<String>> {
    let deployment = the(objects, "Deployment", "latchkey-concierge")?;
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let texts = arguments.as_array().context("arguments")?.iter();
    // As the kubelet does.
    texts
        .map(|text| Ok(text.as_str().context("a text")?.replace("$(POD_NAME)", "latchkey-concierge-7c9f-2k")))
        .collect()
}

fn configured(arguments: &[String]) -> Result<Config> {
    let words =
        ["latchkey-concierge", "--cluster-name=staging"].into_iter().chain(arguments.iter().map(String::as_str));
    match Command::parse(words.map(OsString::from)) {
        Ok(Command::Serve(config)) => Ok(*config),
        Ok(other) => Err(anyhow!("{other:?}")),
        Err(error) => Err(anyhow!("{error}")),
    }
}
