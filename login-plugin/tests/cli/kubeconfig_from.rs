//! `kubeconfig --from`: foreign users in our words, where they stand or in a file of their own.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

const READERS: &str = "\
apiVersion: v1
kind: Config
current-context: dev
clusters:
- {name: dev, cluster: {server: 'https://dev', certificate-authority-data: QQ==}}
- {name: eu-pinniped, cluster: {server: 'https://eu', certificate-authority-data: QQ==}}
contexts:
- {name: dev, context: {cluster: dev, user: oidc}}
- {name: eu, context: {cluster: eu-pinniped, user: eu-pinniped, namespace: apps}}
- {name: admin, context: {cluster: dev, user: admin}}
users:
# everybody's
- name: oidc
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: kubectl
      args:
      - oidc-login
      - get-token
      - --oidc-issuer-url=https://idp
      - --oidc-client-id=dev
      - --oidc-extra-scope=email   # for the name
      - --oidc-client-secret=TOP-SECRET
      env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]
- name: eu-pinniped
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: /usr/local/bin/pinniped
      args: [login, oidc, --enable-concierge, --concierge-authenticator-name=jwt, --concierge-authenticator-type=jwt, '--concierge-endpoint=https://eu', --concierge-ca-bundle-data=QQ==, '--issuer=https://supervisor', '--scopes=openid,offline_access', --request-audience=eu]
      env: []
      provideClusterInfo: true
- name: admin   # keep
  user: {token: TOP-SECRET-TOO}
";

struct Reader {
    laptop: Laptop,
}

impl Reader {
    fn new() -> Self {
        let laptop = Laptop::new();
        fs::write(laptop.path("config"), READERS).unwrap();
        let value: Value = serde_norway::from_str(READERS).unwrap();
        for (number, name) in ["dev", "eu", "admin"].into_iter().enumerate() {
            let mut view = value.clone();
            let context = value["contexts"][number].clone();
            view["contexts"] = json!([context]);
            let clusters = value["clusters"].as_array().unwrap().iter();
            let clusters: Vec<&Value> =
                clusters.filter(|cluster| cluster["name"] == context["context"]["cluster"]).collect();
            view["clusters"] = json!(clusters);
            fs::write(laptop.path(&format!("view-{name}")), view.to_string()).unwrap();
        }
        fs::create_dir(laptop.path("bin")).unwrap();
        let here = laptop.path("");
        laptop.executable(
            "bin/kubectl",
            &format!(
                "#!/bin/sh\ncd '{}'\nfor word; do case $word in --context=*) cat \"view-${{word#--context=}}\"; exit;; esac; done\ncat view\n",
                here.display()
            ),
        );
        let reader = Self { laptop };
        reader.view_is_file();
        reader
    }

    /// kubectl sees what stands in the file now.
    fn view_is_file(&self) {
        let value: Value = serde_norway::from_str(&self.text()).unwrap();
        fs::write(self.laptop.path("view"), value.to_string()).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.laptop.path("config")).unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let arguments = ["kubeconfig"].iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        let config = self.laptop.path("config").to_string_lossy().into_owned();
        let environment = vec![("PATH", path_with(&self.laptop.path("bin"))), ("KUBECONFIG", config)];
        Run { laptop: &self.laptop, arguments, environment }.end().await
    }
}

#[tokio::test]
async fn users_are_rewritten_where_they_stand_and_nothing_else_is() {
    let reader = Reader::new();
    let secret = reader.run(&["--from=kubelogin", "--all-contexts", "--merge"]).await;
    assert!(secret.failure(2).contains("context dev: --oidc-client-secret"), "{secret:?}");
    assert!(secret.said.contains("--client-secret-file") && !secret.said.contains("TOP-SECRET"), "{secret:?}");
    assert_eq!(reader.text(), READERS);
    let options = ["--from=kubelogin", "--all-contexts", "--merge", "--client-secret-keyring"];
    let rehearsed = reader.run(&[&options[..], &["--output=-"]].concat()).await;
    assert!(rehearsed.stdout.starts_with("users:\n- name: oidc\n  user:\n    exec:\n"), "{rehearsed:?}");
    assert!(rehearsed.said.starts_with("Not written: Changed user oidc in "), "{rehearsed:?}");
    assert_eq!(reader.text(), READERS);
    let ended = reader.run(&options).await;
    assert!(ended.said.starts_with("Changed user oidc in "), "{ended:?}");
    let text = reader.text();
    let users = "users:\n# everybody's\n";
    let (before, after) = (READERS.split_once(users).unwrap(), text.split_once(users).unwrap());
    assert_eq!(before.0, after.0);
    let other = "- name: eu-pinniped\n  user:\n";
    assert_eq!(before.1.split_once(other).unwrap().1, after.1.split_once(other).unwrap().1);
    let value: Value = serde_norway::from_str(&text).unwrap();
    let exec = &value["users"][0]["user"]["exec"];
    let expected = [
        "credential",
        "--cluster-name=dev",
        "--issuer=https://idp",
        "--client-id=dev",
        "--client-secret-keyring",
        "--scopes=email",
        "--optional-scopes=",
        "--redirect-host=localhost",
        "--redirect-ports=8000,18000",
        "--redirect-path=",
        "--no-exchange",
    ];
    assert_eq!(exec["args"], json!(expected));
    assert_eq!(exec["env"], json!([{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]));
    reader.view_is_file();
    let again = reader.run(&options).await;
    assert!(again.status.success() && again.said.contains("Nothing to change."), "{again:?}");
    assert_eq!(reader.text(), text);
}

#[tokio::test]
async fn a_pinniped_user_goes_to_the_same_concierge() {
    let reader = Reader::new();
    let ended = reader.run(&["--from=pinniped", "--context=eu"]).await;
    assert!(ended.status.success(), "{ended:?}");
    for words in [
        "- name: latchkey-eu\n  cluster:\n    server: https://eu\n",
        "    namespace: apps\n",
        "      - --api-group-suffix=pinniped.dev\n",
        "      - --authenticator=jwt\n",
        "      - --concierge-endpoint=https://eu\n",
        "      - --client-id=pinniped-cli\n",
        "      - --exchange-audience=eu\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert_eq!(reader.text(), READERS);
    let other = reader.run(&["--from=pinniped"]).await;
    assert!(other.failure(2).contains("the user of context \"dev\" does not log in by pinniped"), "{other:?}");
}
