//! What people do to a login page in a real browser, at real identity providers: they mistype, cancel, go back, click twice,
//! are somebody else, close the tab; and what other pages try meanwhile. No cluster: the token itself is the credential.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    browser::Browser,
    folder::TempFolder,
    issuer::{Algorithm, User},
    keycloak::Keycloak,
    login::Login,
    oidc_provider::{OidcProvider, OidcProviderOptions},
    person::{Answer, Person},
    programs::Programs,
    wait::eventually,
};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// The plugin invites within a second of its start.
const INVITATION_LIMIT: Duration = Duration::from_mins(1);

/// For a login that nobody finishes: short, since a test waits for its end.
const IMPATIENT: &str = "--login-timeout=3";

const CLIENT: &str = "staging";

/// An identity provider, and who sits before the browser.
struct Place<'a> {
    issuer: &'a str,
    ca_pem: &'a str,
    home: TempFolder,
    programs: &'static Programs,
}

impl<'a> Place<'a> {
    async fn new(issuer: &'a str, ca_pem: &'a str) -> Result<Self> {
        Ok(Self { issuer, ca_pem, home: TempFolder::new("login-chromium")?, programs: Programs::find().await? })
    }

    /// Somebody with an empty cache.
    fn person(&self, name: &str) -> Result<Person> {
        let home = self.home.path().join(name);
        std::fs::create_dir(&home)?;
        let kubectl = Path::new("kubectl");
        let mut person = Person::new(&home, kubectl, self.programs)?;
        person.expect_invitations()?;
        Ok(person)
    }

    /// What a Kubernetes client would be answered.
    async fn credential(&self, person: &Person, options: &[&str]) -> Result<Answer> {
        self.run("credential", person, options).await
    }

    /// A login that the person asks for.
    async fn login(&self, person: &Person, options: &[&str]) -> Result<Answer> {
        self.run("login", person, options).await
    }

    async fn run(&self, verb: &str, person: &Person, options: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.programs.plugin);
        let ca = base64(self.ca_pem.as_bytes());
        command
            .arg(verb)
            .args([format!("--issuer={}", self.issuer), format!("--client-id={CLIENT}"), format!("--ca-data={ca}")])
            .args(["--no-exchange", "--cluster-name=staging"])
            .args(options);
        person.run(command).await
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

/// Where the plugin sends its person this time: the invitation after the `known` ones.
async fn invitation(person: &Person, known: usize) -> Result<String> {
    eventually("the plugin to open a browser", INVITATION_LIMIT, async || {
        anyhow::Ok(person.invitations()?.get(known).context("no invitation")?.clone())
    })
    .await
}

/// The token in an `ExecCredential`, as what it says of whom.
fn claims(answer: &Answer) -> Result<Value> {
    use base64::Engine as _;
    ensure!(answer.ok, "{}", answer.seen());
    let credential: Value = serde_json::from_str(&answer.stdout)?;
    let token = credential["status"]["token"].as_str().context("a token")?;
    let payload = token.split('.').nth(1).context("a payload")?;
    Ok(serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload)?)?)
}

/// The page at the end of a login: its words, after a look at what its address and source must not hold.
async fn last_page(browser: &Browser, name: &str) -> Result<String> {
    let address = match browser.address_starting_with("http://127.0.0.1:").await {
        Ok(address) => address,
        Err(error) => return Err(error.context(browser.text(&browser.find("body").await?).await?)),
    };
    browser.find("body.good, body.bad").await?;
    let address = browser.address().await.unwrap_or(address);
    for secret in ["code=", "state=", "access_token", "id_token"] {
        ensure!(!address.contains(secret), "the address bar shows {secret}");
        ensure!(!browser.source().await?.contains(secret), "the page shows {secret}");
    }
    pictures(browser, name).await?;
    browser.text(&browser.find("main").await?).await
}

/// The page on a wide and on a narrow screen, by day and by night, kept where `LATCHKEY_SCREENSHOTS` says. Nothing on it may
/// be wider than the screen.
async fn pictures(browser: &Browser, name: &str) -> Result<()> {
    for (width, height, screen) in [(1200, 800, "wide"), (360, 740, "narrow")] {
        browser.resize(width, height).await?;
        for dark in [false, true] {
            browser.darken(dark).await?;
            let overflow = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await?;
            ensure!(
                overflow.as_i64().is_some_and(|pixels| pixels <= 0),
                "{name} is too wide on a {screen} screen: {overflow}"
            );
            let picture = browser.screenshot().await?;
            ensure!(picture.starts_with(b"\x89PNG"), "a picture");
            let folder =
                std::env::var_os("LATCHKEY_SCREENSHOTS").map_or_else(|| browser.folder().to_owned(), Into::into);
            let light = if dark { "dark" } else { "light" };
            std::fs::write(folder.join(format!("login-{name}-{screen}-{light}.png")), picture)?;
        }
    }
    Ok(())
}

// === Keycloak ===

#[tokio::test]
async fn people_at_keycloak() -> Result<()> {
    let users = [
        User::new("ann", "ann-password").groups(&["developers"]),
        User::new("bob", "bob-password").groups(&["on-call"]),
    ];
    let keycloak = Keycloak::start(&[CLIENT], &users).await?;
    let (url, ca) = (keycloak.url(), keycloak.ca_pem().to_owned());
    let place = Place::new(&url, &ca).await?;
    a_wrong_password_and_then_the_right_one(&place).await?;
    two_accounts_side_by_side(&place).await?;
    keycloak.ask_consent(CLIENT).await?;
    consent_given_and_refused(&place).await
}

async fn sign_in_at_keycloak(browser: &Browser, user: &str, password: &str) -> Result<()> {
    let name = browser.find("#username").await?;
    browser.run("document.querySelector('#username').value = ''").await?;
    browser.type_into(&name, user).await?;
    browser.type_into(&browser.find("#password").await?, password).await?;
    browser.click(&browser.find("#kc-login").await?).await
}

async fn a_wrong_password_and_then_the_right_one(place: &Place<'_>) -> Result<()> {
    let (ann, browser) = (place.person("mistyping")?, Browser::start().await?);
    let person = async {
        browser.go(&invitation(&ann, 0).await?).await?;
        sign_in_at_keycloak(&browser, "ann", "wrong").await?;
        browser.find("[id^=input-error]").await?;
        sign_in_at_keycloak(&browser, "ann", "ann-password").await?;
        let words = last_page(&browser, "keycloak-done").await?;
        ensure!(words.contains("You are in") && words.contains("ann"), "{words}");
        Ok(())
    };
    let (answer, ()) = tokio::try_join!(place.credential(&ann, &[]), person)?;
    ensure!(claims(&answer)?["preferred_username"] == "ann");

    // Back is the provider's page, or nothing: never an address with a code.
    browser.back().await?;
    let behind = browser.address().await?;
    ensure!(!behind.contains("code="), "the history holds {behind}");
    Ok(())
}

async fn two_accounts_side_by_side(place: &Place<'_>) -> Result<()> {
    let (person, browser) = (place.person("two-accounts")?, Browser::start().await?);
    let ann = async {
        browser.go(&invitation(&person, 0).await?).await?;
        sign_in_at_keycloak(&browser, "ann", "ann-password").await?;
        last_page(&browser, "keycloak-first-account").await
    };
    let (answer, _) = tokio::try_join!(place.credential(&person, &["--account=ann"]), ann)?;
    ensure!(claims(&answer)?["preferred_username"] == "ann");

    // Keycloak is told whom to offer and asks again; ann comes all the same, by habit. Her token must not pass for bob's.
    let bob = async {
        browser.go(&invitation(&person, 1).await?).await?;
        sign_in_again_at_keycloak(&browser, "ann").await?;
        last_page(&browser, "wrong-account").await
    };
    let (answer, words) = tokio::try_join!(place.credential(&person, &["--account=bob"]), bob)?;
    ensure!(!answer.ok && answer.stdout.is_empty(), "{}", answer.seen());
    for side in [&words, &answer.stderr] {
        ensure!(side.contains("ann") && side.contains("bob"), "both names in {side}");
    }

    // After that a program in the background would pause; a person who wants in says so, here with a browser of bob's own
    // (Keycloak lets nobody in where somebody else is).
    let browser = Browser::start().await?;
    let bob = async {
        browser.go(&invitation(&person, 2).await?).await?;
        sign_in_at_keycloak(&browser, "bob", "bob-password").await?;
        last_page(&browser, "keycloak-second-account").await
    };
    let (answer, _) = tokio::try_join!(place.login(&person, &["--account=bob"]), bob)?;
    ensure!(answer.ok && answer.stdout.is_empty() && answer.stderr.contains("bob"), "{}", answer.seen());

    for account in ["ann", "bob"] {
        let answer = place.credential(&person, &[&format!("--account={account}")]).await?;
        ensure!(claims(&answer)?["preferred_username"] == account, "one account took the other's place");
    }
    ensure!(person.invitations()?.len() == 3, "somebody was asked again");
    Ok(())
}

/// Keycloak's page for somebody whom it knows asks for the password only, and lets others in by a link.
async fn sign_in_again_at_keycloak(browser: &Browser, user: &str) -> Result<()> {
    if let Ok(Value::Bool(true)) = browser.run("return !!document.querySelector('#reset-login')").await {
        browser.click(&browser.find("#reset-login").await?).await?;
        browser.find("#username:not([readonly])").await?;
    }
    sign_in_at_keycloak(browser, user, &format!("{user}-password")).await
}

async fn consent_given_and_refused(place: &Place<'_>) -> Result<()> {
    let (refusing, browser) = (place.person("refusing")?, Browser::start().await?);
    let person = async {
        browser.go(&invitation(&refusing, 0).await?).await?;
        sign_in_at_keycloak(&browser, "ann", "ann-password").await?;
        browser.click(&browser.find("[name=cancel]").await?).await?;
        last_page(&browser, "keycloak-refused").await
    };
    let (answer, words) = tokio::try_join!(place.credential(&refusing, &[]), person)?;
    ensure!(!answer.ok && answer.stdout.is_empty(), "{}", answer.seen());
    ensure!(words.contains("access_denied") && answer.stderr.contains("access_denied"), "{words}\n{}", answer.stderr);

    let agreeing = place.person("agreeing")?;
    let person = async {
        browser.go(&invitation(&agreeing, 0).await?).await?;
        // Who refuses is not logged in either.
        sign_in_at_keycloak(&browser, "ann", "ann-password").await?;
        browser.click(&browser.find("[name=accept]").await?).await?;
        last_page(&browser, "keycloak-consented").await
    };
    let (answer, _) = tokio::try_join!(place.credential(&agreeing, &[]), person)?;
    ensure!(claims(&answer)?["preferred_username"] == "ann");
    Ok(())
}

// === oidc-provider ===

#[tokio::test]
async fn people_and_other_pages_at_oidc_provider() -> Result<()> {
    let provider = OidcProvider::start(OidcProviderOptions {
        clients: vec![(CLIENT.to_owned(), Algorithm::ES256)],
        users: vec![User::new("ann", "ann-password").groups(&["developers"])],
        ..OidcProviderOptions::default()
    })
    .await?;
    let place = Place::new(provider.url(), provider.ca_pem()).await?;
    strangers_are_turned_away_and_the_login_goes_on(&place).await?;
    a_form_brings_the_answer(&place).await?;
    two_clicks_are_one_login(&place).await?;
    a_closed_tab_ends_in_words(&place).await
}

/// A wrong state, an error without one, another page's script and another path: all of them before the right answer.
async fn strangers_are_turned_away_and_the_login_goes_on(place: &Place<'_>) -> Result<()> {
    let (ann, browser) = (place.person("among-strangers")?, Browser::start().await?);
    let person = async {
        let url = invitation(&ann, 0).await?;
        let callback = redirect_uri(&url)?;
        for (query, words) in [("?code=stolen&state=wrong", "another login"), ("?error=access_denied", "another login")]
        {
            browser.go(&format!("{callback}{query}")).await?;
            let said = browser.text(&browser.find("body").await?).await?;
            ensure!(said.contains(words), "{query}: {said}");
        }
        // From the provider's own page, where a script could run if somebody smuggled one in.
        browser.go(place.issuer).await?;
        let fetched = browser
            .run(&format!("return fetch('{callback}?code=x&state=y').then(answer => answer.status, () => 'kept out')"))
            .await?;
        ensure!(fetched == "kept out" || fetched == 400, "{fetched}");
        browser.go(&url).await?;
        browser.sign_in("ann", "ann-password").await?;
        last_page(&browser, "after-strangers").await
    };
    let (answer, words) = tokio::try_join!(place.credential(&ann, &[]), person)?;
    ensure!(words.contains("You are in"), "{words}");
    ensure!(claims(&answer)?["sub"].is_string());
    Ok(())
}

/// `response_mode=form_post`: the provider's page sends the answer in a form, and the address bar never holds it.
async fn a_form_brings_the_answer(place: &Place<'_>) -> Result<()> {
    let (ann, browser) = (place.person("form-post")?, Browser::start().await?);
    let person = async {
        let url = invitation(&ann, 0).await?;
        browser.go(&format!("{url}&response_mode=form_post")).await?;
        browser.sign_in("ann", "ann-password").await?;
        last_page(&browser, "form-post").await
    };
    let (answer, words) = tokio::try_join!(place.credential(&ann, &[]), person)?;
    ensure!(words.contains("You are in"), "{words}");
    ensure!(claims(&answer)?["aud"] == CLIENT);
    Ok(())
}

/// The answer delivered twice is one login, and both see the same page or nobody there any more.
async fn two_clicks_are_one_login(place: &Place<'_>) -> Result<()> {
    let ann = place.person("double-click")?;
    let person = async {
        let url = invitation(&ann, 0).await?;
        let answer = Login::new(place.ca_pem)?.code_for(&url, "ann", "ann-password").await?;
        let (first, second) = (Browser::start().await?, Browser::start().await?);
        let (one, _or_nobody) = tokio::join!(first.go(answer.as_str()), second.go(answer.as_str()));
        one?;
        last_page(&first, "double-click").await
    };
    let (answer, words) = tokio::try_join!(place.credential(&ann, &[]), person)?;
    ensure!(words.contains("You are in"), "{words}");
    ensure!(claims(&answer)?["aud"] == CLIENT, "one code was redeemed once");
    Ok(())
}

/// Nobody comes back: the plugin ends in time, says so, and a program that asks again at once opens no second tab.
async fn a_closed_tab_ends_in_words(place: &Place<'_>) -> Result<()> {
    let ann = place.person("closed-tab")?;
    let browser = Browser::start().await?;
    let person = async {
        browser.go(&invitation(&ann, 0).await?).await?;
        browser.go("about:blank").await
    };
    let (answer, ()) = tokio::try_join!(place.credential(&ann, &[IMPATIENT]), person)?;
    ensure!(!answer.ok && answer.stderr.contains("within"), "{}", answer.seen());
    let again = timeout(INVITATION_LIMIT, place.credential(&ann, &[IMPATIENT])).await??;
    ensure!(!again.ok && ann.invitations()?.len() == 1, "a second tab: {}", again.seen());
    Ok(())
}

fn redirect_uri(authorize_url: &str) -> Result<String> {
    let url = reqwest::Url::parse(authorize_url)?;
    let found = url.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, value)| value.into_owned());
    found.context("no redirect_uri")
}
