//! The story, step by step; each step is seen to be true or the story ends there.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::ClusterOptions,
    concierge::ConciergeOptions,
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Client, Issuer, IssuerOptions, User},
    leak,
    person::Person,
    programs::Programs,
    site::{AUTHENTICATOR, Site},
};

use super::{fleet, narrator::Narrator, plugin, record};

const USER: &str = "ada";
const PASSWORD: &str = "lovelace";
const GROUP: &str = "developers";

/// Tells all of it. With `once` nobody is asked and nothing is left running.
pub(crate) async fn tell(narrator: &mut Narrator, once: bool, out: Option<&Path>) -> Result<()> {
    let scratch;
    let work = if let Some(out) = out {
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        let out = out.canonicalize()?;
        // An earlier story's login must not be found: this one begins with nobody logged in.
        let cache = out.join("plugin-cache");
        if cache.exists() {
            fs::remove_dir_all(cache)?;
        }
        out
    } else {
        scratch = TempFolder::new("demo")?;
        scratch.path().to_owned()
    };
    narrator.chapter(1, "Two clusters and one identity provider");
    narrator.say("Building latchkey-concierge and kubectl-latchkey ...");
    let programs = Programs::find().await?;
    let issuer = identity_provider().await?;
    narrator.say(&format!(
        "The identity provider is at {}. It knows one person, {USER}, of group {GROUP}, and one client\nfor each cluster.",
        issuer.url()
    ));
    narrator.say("Starting etcd, kube-apiserver and kube-controller-manager for each, and Latchkey from deploy/ ...");
    let (staging, production) = tokio::try_join!(site("staging", &work), site("production", &work))?;
    let told = chapters(narrator, once, &work, programs, &issuer, &staging, &production).await;
    if out.is_some() {
        for site in [&staging, &production] {
            fs::copy(site.concierge.audit_file(), work.join(format!("audit-{}.jsonl", site.name)))?;
        }
    }
    told
}

async fn chapters(
    narrator: &mut Narrator,
    once: bool,
    work: &Path,
    programs: &'static Programs,
    issuer: &Issuer,
    staging: &Site,
    production: &Site,
) -> Result<()> {
    let mut person = Person::new(work, staging.cluster.kubectl_program(), programs)?;
    if once {
        person.script_browser(&issuer.ca_pem(), USER, PASSWORD)?;
    }
    ready(narrator, &person, issuer, staging, production).await?;
    first_login(narrator, once, &person, staging).await?;
    no_second_login(narrator, &person, issuer, staging).await?;
    replay(narrator, &person, staging, production).await?;
    second_cluster(narrator, &person, production).await?;
    fleet::shared_client(narrator, issuer, staging, production).await?;
    record::evidence(narrator, work, production).await?;
    plugin::itself(narrator, work, &person, staging, production).await?;
    narrator.say(&format!("\nAll of it was seen: {} checks.", narrator.count()));
    if !once {
        stay(narrator, &person, staging, production).await?;
    }
    Ok(())
}

async fn ready(
    narrator: &mut Narrator,
    person: &Person,
    issuer: &Issuer,
    staging: &Site,
    production: &Site,
) -> Result<()> {
    staging.trust_own_authority().await?;
    tokio::try_join!(staging.trust(issuer), production.trust(issuer))?;
    fleet::tell(narrator, staging, production).await?;
    for site in [staging, production] {
        let audience = Site::audience(site.name);
        narrator.seen(
            &format!("{}: JWTAuthenticator {AUTHENTICATOR} is Ready; it takes audience {audience}", site.name),
            true,
        )?;
    }
    tokio::try_join!(staging.offers("ClientCertificateAuthority"), production.offers("CertificateSigningRequestAPI"))?;
    narrator.seen("staging hands out certificates of Latchkey's own CA, which its API server trusts", true)?;
    narrator.seen("production, where no flag was set, hands out certificates of the cluster's signer", true)?;
    for site in [staging, production] {
        site.write_kubeconfig(person).await?;
        let text = fs::read_to_string(&site.kubeconfig)?;
        let name = site.kubeconfig.file_name().unwrap_or_default().to_string_lossy().into_owned();
        narrator.command(&format!("kubectl latchkey kubeconfig --name {} --output {name}", site.name), "");
        narrator.seen(
            &format!("{name} holds no secret: it names the plugin, the issuer and this cluster's client"),
            text.contains("kubectl-latchkey") && !text.contains("client-key") && !text.contains("token:"),
        )?;
    }
    Ok(())
}

async fn first_login(narrator: &mut Narrator, once: bool, person: &Person, staging: &Site) -> Result<()> {
    narrator.chapter(2, "The first call logs in");
    if !once {
        narrator.say(&format!(
            "A browser opens now. The demo's identity provider has a certificate of its own making, so the browser\n\
             warns: go on, and log in as {USER} with the password {PASSWORD}."
        ));
    }
    let answer = person.kubectl(&staging.kubeconfig, &["get", "namespaces"]).await?;
    narrator.command("kubectl get namespaces", &answer.seen());
    narrator.seen("the login happened and the answer is right", answer.ok && answer.stdout.contains("kube-system"))?;

    let forbidden = person.kubectl(&staging.kubeconfig, &["delete", "namespace", "default"]).await?;
    narrator.command("kubectl delete namespace default", &forbidden.seen());
    let words = if once { forbidden.stderr.contains("Forbidden") } else { true };
    narrator.seen("what RBAC does not allow is forbidden", !forbidden.ok && words)?;

    let whoami = person.kubectl(&staging.kubeconfig, &["auth", "whoami"]).await?;
    narrator.command("kubectl auth whoami", &whoami.stdout);
    narrator.seen(
        &format!("the cluster knows {USER} and the group {GROUP}"),
        whoami.ok && whoami.stdout.contains(USER) && whoami.stdout.contains(GROUP),
    )
}

async fn no_second_login(narrator: &mut Narrator, person: &Person, issuer: &Issuer, staging: &Site) -> Result<()> {
    narrator.chapter(3, "The second call asks nobody");
    let (before, exchanged) = (issuer.requests_total(), staging.exchanges()?.len());
    let answer = person.kubectl(&staging.kubeconfig, &["get", "configmaps", "-n", "default"]).await?;
    narrator.command("kubectl get configmaps -n default", &answer.stdout);
    ensure!(answer.ok, "kubectl get configmaps: {}", answer.seen());
    // The concierge refreshes keys on its own schedule; the person's side is seen by what the plugin would have asked.
    narrator.seen("neither the identity provider nor the browser nor the concierge was asked", {
        issuer.requests_total() == before && staging.exchanges()?.len() == exchanged
    })
}

async fn replay(narrator: &mut Narrator, person: &Person, staging: &Site, production: &Site) -> Result<()> {
    narrator.chapter(4, "The staging token is sent to production");
    narrator.say(
        "The plugin itself sends a login only to the cluster that it was made for. So somebody steals the ID token from\n\
         the plugin's cache and shows it to production's concierge, as anybody may who reaches the API server.",
    );
    let token = person.kept_token()?;
    let door = Exchanger::through(&production.cluster)?;
    let answer = door.exchange(&token).await?;
    narrator
        .command(&format!("curl {} --json @request-with-the-staging-token.json", door.url()), &answer.body.to_string());
    narrator.seen(
        "production refuses, in one sentence with nothing to learn from",
        answer.code == 201 && answer.body["status"] == serde_json::json!({"message": "authentication failed"}),
    )?;
    let at_home = Exchanger::through(&staging.cluster)?.exchange(&token).await?;
    narrator.seen("the same token, at the same moment, is good in staging", at_home.is_granted())?;

    let record = production.record_of(answer.audit_id()?).await?;
    narrator.say("What production's admin sees under that audit id:");
    narrator.command("tail -1 audit-production.jsonl | jq .", &serde_json::to_string_pretty(&record)?);
    narrator.seen("the reason is audience-other-cluster", record["code"] == "audience-other-cluster")?;
    narrator.seen(
        "the token was really signed by the issuer, so the record names its owner, and the cluster that it was made for",
        record["verified"]["sub"].is_string() && record["claimedCluster"] == staging.name,
    )?;
    narrator.seen("the record holds no token", leak::token_in(&record.to_string()).is_none())?;
    fleet::rejections(narrator, staging, production).await
}

async fn second_cluster(narrator: &mut Narrator, person: &Person, production: &Site) -> Result<()> {
    narrator.chapter(5, "The same person logs in to production, by production's own client");
    let answer = person.kubectl(&production.kubeconfig, &["get", "namespaces"]).await?;
    narrator.command("kubectl get namespaces", &answer.seen());
    narrator.seen("it works", answer.ok && answer.stdout.contains("kube-system"))?;
    let records = production.exchanges()?;
    let granted = records.last().context("production recorded no exchange")?;
    narrator.seen("and is recorded", granted["kind"] == "credential.issued" && granted["identity"]["username"] == USER)
}

async fn stay(narrator: &mut Narrator, person: &Person, staging: &Site, production: &Site) -> Result<()> {
    narrator.say(&format!(
        "\nBoth clusters stay up. In another terminal:\n\n  {}\n\n\
         then try\n\n\
         \x20 kubectl --context staging get pods -A\n\
         \x20 kubectl --context production auth whoami\n\
         \x20 kubectl latchkey whoami --context staging\n\
         \x20 kubectl --kubeconfig {} get latchkey\n\
         \x20 kubectl --kubeconfig {} get tokenrejections -o wide\n\
         \x20 kubectl --kubeconfig {} describe jwtauthenticator {AUTHENTICATOR}\n\
         \x20 {} audit tail -f {}\n\n\
         Ctrl-C ends everything and leaves nothing behind.",
        person.shell_line(&[&staging.kubeconfig, &production.kubeconfig]),
        staging.cluster.admin_kubeconfig().display(),
        production.cluster.admin_kubeconfig().display(),
        production.cluster.admin_kubeconfig().display(),
        production.concierge.program().display(),
        production.concierge.audit_file().display(),
    ));
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}

/// A cluster whose log is sealed every second, as nobody wants to watch a minute pass.
async fn site(name: &'static str, work: &Path) -> Result<Site> {
    let extra_args = vec!["--audit-checkpoint-every=1s".to_owned()];
    let concierge = ConciergeOptions { extra_args, ..ConciergeOptions::default() };
    Site::start_with(ClusterOptions::named(name), concierge, name, work).await
}

async fn identity_provider() -> Result<Issuer> {
    let clients = ["staging", "production"].map(|name| Client::native(&Site::audience(name)));
    let users = vec![User::new(USER, PASSWORD).groups(&[GROUP])];
    Issuer::start(IssuerOptions { clients: clients.into(), users, ..IssuerOptions::default() }).await
}
