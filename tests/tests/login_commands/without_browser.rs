//! Ways in without a browser on this laptop: a code, a job's token; and settings in other places than the arguments.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    login::Login, person::Person, programs::Programs, relying_party::RelyingParty, site::Site, wait::eventually,
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::place::Place;

/// kubectl, the plugin and a request before the code is there.
const CODE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn a_code_lets_in_where_no_browser_is(place: &Place) -> Result<()> {
    let home = place.path("laptop-without-browser");
    fs::create_dir(&home)?;
    let mut person = Person::new(&home, place.staging.cluster.kubectl_program(), Programs::find().await?)?;
    person.expect_invitations()?;
    // Codes are shown to people only, so kubectl runs at a terminal.
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command", "kubectl get namespaces -o name", "/dev/null"])
        .env("KUBECONFIG", &place.staging.kubeconfig)
        .env("LATCHKEY_FLOW", "device");
    let approved = async {
        let page = eventually("the page for the code", CODE_LIMIT, async || {
            person.invitations().map(|mut all| all.pop()).ok().flatten()
        })
        .await?;
        let words = Login::new(place.provider.ca_pem())?.approve_device(&page, "ann", "ann-password").await?;
        ensure!(words.contains("You are signed in"), "{words}");
        anyhow::Ok(page)
    };
    let (answer, page) = tokio::join!(person.run(command), approved);
    let (answer, page) = (answer?, page?);
    let code = page.split_once("user_code=").with_context(|| page.clone())?.1;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    ensure!(
        answer.stdout.contains(&format!("    {code}")) && answer.stdout.contains("Enter it only if"),
        "{}",
        answer.seen()
    );
    let again = person
        .kubectl(&place.staging.kubeconfig, &["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        .await?;
    ensure!(again.ok && again.stdout == "ann", "{}", again.seen());
    Ok(())
}

pub(crate) async fn a_job_brings_a_token_of_the_provider_to_the_kubeconfig_of_people(place: &Place) -> Result<()> {
    let provider = RelyingParty::of(place.provider.url(), place.provider.ca_pem()).await?;
    let tokens = provider.log_in(&Site::audience("staging"), "robot", &[]).await?;
    let file = place.path("robot.token");
    fs::write(&file, tokens["id_token"].as_str().context("an ID token")?)?;
    let browsers = place.ann.invitations()?.len();
    let cache = place.path("job-cache");
    let set = [
        ("LATCHKEY_TOKEN_FILE", file.to_str().context("UTF-8")?),
        ("LATCHKEY_CACHE_DIR", cache.to_str().context("UTF-8")?),
    ];
    ensure!(place.who(&set, &place.staging.kubeconfig).await? == "robot");
    // A token for staging stays away from production.
    let folder = place.path("written");
    let astray = place.with(&set, &folder.join("production-sso.yaml"), &["get", "ns"]).await?;
    ensure!(!astray.ok && astray.stderr.contains("kubernetes-staging"), "{}", astray.seen());
    ensure!(place.ann.invitations()?.len() == browsers, "nobody is asked");
    Ok(())
}

pub(crate) async fn a_job_brings_a_token_of_the_cluster_itself(place: &Place) -> Result<()> {
    let site = &place.staging;
    let admin = &site.cluster;
    let discovery = "--clusterrole=system:service-account-issuer-discovery";
    admin
        .kubectl_ok(&["create", "clusterrolebinding", "discovery", discovery, "--group=system:unauthenticated"])
        .await?;
    admin.kubectl_ok(&["create", "serviceaccount", "runner", "--namespace=default"]).await?;
    let token = admin
        .kubectl_ok(&["create", "token", "runner", "--namespace=default", "--audience=kubernetes-staging"])
        .await?;
    let mut jobs = site.authenticator_at("jobs", "https://kubernetes.default.svc.cluster.local", admin.ca_pem());
    // In a pod discovery would do; from this machine the name leads nowhere.
    jobs["spec"]["jwks"] = json!({"url": format!("{}/openid/v1/jwks", admin.server_url())});
    jobs["spec"]["claims"] = json!({"username": "sub", "usernamePrefix": "job:"});
    admin.apply(&jobs.to_string()).await?;
    site.ready("jobs").await?;
    let (file, config) = (place.path("job.token"), place.path("kubeconfig-of-a-job"));
    fs::write(&file, token.trim())?;
    let (file, written) = (file.to_string_lossy(), config.to_string_lossy());
    let stanza = ["latchkey", "kubeconfig", "--authenticator", "jobs", "--token-file", &file, "--output", &written];
    place.ok(site.cluster.admin_kubeconfig(), &stanza).await?;
    ensure!(place.who(&[], &config).await? == "job:system:serviceaccount:default:runner");
    admin.kubectl_ok(&["delete", "jwtauthenticator", "jobs"]).await.map(drop)
}

pub(crate) async fn settings_stand_beside_the_cluster(place: &Place) -> Result<()> {
    let config = place.path("kubeconfig-with-settings");
    let written = config.to_string_lossy();
    let stanza = ["latchkey", "kubeconfig", "--settings-in-cluster", "--name", "staging", "--output", &written];
    place.ok(place.staging.cluster.admin_kubeconfig(), &stanza).await?;
    let view = place.ok(&config, &["config", "view", "--minify", "-o", "json"]).await?.stdout;
    let view: Value = serde_json::from_str(&view)?;
    ensure!(view["users"][0]["user"]["exec"]["args"] == json!(["credential"]), "{view}");
    ensure!(place.who(&[], &config).await? == "ann");
    Ok(())
}

pub(crate) async fn what_the_doctor_says_about_kubectls_policy_works(place: &Place) -> Result<()> {
    let policy = place.path("kuberc");
    fs::write(
        &policy,
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: Allowlist\n\
         credentialPluginAllowlist:\n- command: kubectl-other\n",
    )?;
    let (config, policy) = (&place.staging.kubeconfig, policy.to_string_lossy());
    let set = [("KUBERC", &*policy)];
    let refused = place.with(&set, config, &["get", "ns"]).await?;
    ensure!(
        !refused.ok && refused.stderr.contains("not permitted by the credential plugin allowlist"),
        "{}",
        refused.seen()
    );
    let doctor = place.with(&set, config, &["latchkey", "doctor"]).await?;
    ensure!(!doctor.ok && doctor.stdout.contains("does not let kubectl run kubectl-latchkey"), "{}", doctor.seen());
    let command = doctor.stdout.lines().find_map(|line| line.trim_start().strip_prefix("or run: kubectl "));
    let words: Vec<&str> = command.with_context(|| doctor.seen())?.split(' ').collect();
    let mended = place.with(&set, config, &words).await?;
    ensure!(mended.ok, "{}", mended.seen());
    let answer = place.with(&set, config, &["get", "ns", "-o", "name"]).await?;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    Ok(())
}
