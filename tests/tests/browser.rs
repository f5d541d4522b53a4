//! The browser: what a test can do with it, what it says when it cannot, and that nothing is left of it.

use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use axum::{
    Router,
    extract::Query,
    response::Html,
    routing::{any, get},
};
use latchkey_e2e::{browser::Browser, wait};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpSocket};

/// Processes start and end within a second; the rest is for two busy cores.
const SOON: Duration = Duration::from_mins(1);

/// The first eight bytes of every PNG file (PNG specification, section 5.2).
const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The field is not there when the page is loaded, and the button stays shut until somebody typed.
const FORM: &str = r#"<!doctype html><title>Who are you?</title>
<form action="/greeting"><button disabled>Say hello</button></form>
<script>
  setTimeout(() => {
    const field = document.createElement("input");
    field.name = "name";
    field.oninput = () => setTimeout(() => { document.querySelector("button").disabled = false; }, 200);
    document.querySelector("form").prepend(field);
  }, 200);
</script>"#;

#[derive(Deserialize)]
struct Greeting {
    name: String,
}

#[tokio::test]
async fn types_clicks_and_looks_as_a_person_does() -> Result<()> {
    let page = serve().await?;
    let browser = Browser::start().await?;

    browser.go(&format!("http://{page}/")).await?;
    ensure!(browser.title().await? == "Who are you?");
    browser.type_into(&browser.find("input[name=name]").await?, "Ada & friends").await?;
    browser.click(&browser.find("button").await?).await?;

    ensure!(browser.text(&browser.find("h1").await?).await? == "Hello, Ada & friends", "{}", browser.source().await?);
    let url = browser.address_starting_with(&format!("http://{page}/greeting?")).await?;
    ensure!(url.ends_with("name=Ada+%26+friends"), "{url}");
    ensure!(browser.source().await?.contains("Ada &amp; friends"));

    let picture = browser.screenshot().await?;
    // A white window of this size is about 4 KB.
    ensure!(picture.starts_with(&PNG) && picture.len() > 5_000, "{} bytes", picture.len());
    let width = u32::from_be_bytes(picture[16..20].try_into()?);
    ensure!(width >= 1000, "{width} wide");
    browser.quit().await
}

#[tokio::test]
async fn says_where_it_is_and_what_it_did_not_find() -> Result<()> {
    let page = serve().await?;
    let browser = Browser::start().await?;
    browser.go(&format!("http://{page}/greeting?name=code-1234")).await?;
    let error = browser.find("h1[").await.expect_err("no valid selector");
    let text = format!("{error:#}");
    ensure!(text.contains(r#"the page "Hello""#) && text.contains(r#""h1[""#) && text.contains("invalid"), "{text}");
    ensure!(!text.contains("code-1234"), "a query may hold an authorization code: {text}");

    // Bound, so that the port is nobody else's, and deaf.
    let deaf = TcpSocket::new_v4()?;
    deaf.bind("127.0.0.1:0".parse()?)?;
    let error = browser.go(&format!("http://{}/", deaf.local_addr()?)).await.expect_err("nobody listens");
    ensure!(format!("{error:#}").contains("ERR_CONNECTION_REFUSED"), "{error:#}");
    let error = browser.go("http://latchkey.dev/").await.expect_err("outside this machine");
    ensure!(format!("{error:#}").contains("ERR_NAME_NOT_RESOLVED"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn two_browsers_share_nothing_and_leave_nothing_behind() -> Result<()> {
    let page = serve().await?;
    let (one, other) = tokio::try_join!(Browser::start(), Browser::start())?;
    for (browser, before) in [(&one, "no cookie"), (&one, "visit=yes"), (&other, "no cookie")] {
        browser.go(&format!("http://{page}/cookie")).await?;
        ensure!(browser.text(&browser.find("h1").await?).await? == before, "{}", browser.source().await?);
    }

    let groups = [one.pid(), other.pid()];
    let folders = [one.folder().to_owned(), other.folder().to_owned()];
    for group in groups {
        ensure!(group_is_alive(group)?);
    }
    one.quit().await?;
    drop(other);
    wait::eventually("all processes of both to be gone", SOON, async || {
        for group in groups {
            ensure!(!group_is_alive(group)?, "a process of group {group} is alive");
        }
        Ok(())
    })
    .await?;
    ensure!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
    Ok(())
}

async fn serve() -> Result<SocketAddr> {
    let greet = async |Query(greeting): Query<Greeting>| {
        let name = greeting.name.replace('&', "&amp;").replace('<', "&lt;");
        Html(format!("<!doctype html><title>Hello</title><h1>Hello, {name}</h1>"))
    };
    let cookie = async |headers: axum::http::HeaderMap| {
        let seen = headers.get("cookie").and_then(|value| value.to_str().ok()).unwrap_or("no cookie").to_owned();
        ([("set-cookie", "visit=yes")], Html(format!("<!doctype html><title>Cookie</title><h1>{seen}</h1>")))
    };
    let pages = Router::new()
        .route("/", get(async || Html(FORM)))
        .route("/greeting", get(greet))
        .route("/cookie", get(cookie))
        .fallback(any(async || axum::http::StatusCode::NOT_FOUND));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // It ends with the test's runtime.
    tokio::spawn(axum::serve(listener, pages).into_future());
    Ok(address)
}

/// Whether a process that is not a zombie belongs to a process group.
fn group_is_alive(group: u32) -> Result<bool> {
    for process in std::fs::read_dir("/proc")? {
        let stat = std::fs::read_to_string(process?.path().join("stat")).unwrap_or_default();
        // proc(5): after the name in parentheses come state, parent and process group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, of_group) = (fields.next(), fields.nth(1));
        if of_group == Some(group.to_string().as_str()) && state != Some("Z") {
            return Ok(true);
        }
    }
    Ok(false)
}
