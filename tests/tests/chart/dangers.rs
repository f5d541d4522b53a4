//! What the concierge's service account must not have, whatever is switched on: the rights that make an administrator, asked
//! of a real API server, as `kubectl auth can-i --as` does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use latchkey_e2e::{cluster::Cluster, wait::eventually};
use serde_json::{Value, json};

use super::{
    documents::{documents, kind, the},
    helm::{Helm, VALUES_OF_DEFAULTS, value_files},
};

/// The concierge's namespace; the account's roles elsewhere are in two of Kubernetes' own.
const OWN: &str = "latchkey";

/// In all namespaces at once, and in some that hold what is precious.
const ELSEWHERE: &[&str] = &["", "default", "kube-public", "kube-system"];
const EVERYWHERE: &[&str] = &["", OWN, "default", "kube-public", "kube-system"];
const CLUSTER: &[&str] = &[""];

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const CHANGE: &[&str] = &["update", "patch", "delete", "deletecollection"];
const ANY: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const ENTER: &[&str] = &["get", "create"];

/// Verbs, API group, resources, names (none: any), and where.
type Danger =
    (&'static [&'static str], &'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// Who has one of these is administrator, can become one, or can read what only one should.
const DANGERS: &[Danger] = &[
    // Everything at once.
    (&["*"], "*", &["*"], &[], EVERYWHERE),
    // Other people's Secrets and settings.
    (ANY, "", &["secrets"], &[], ELSEWHERE),
    (WRITE, "", &["configmaps"], &[], ELSEWHERE),
    (READ, "", &["configmaps"], &["coredns", "kubeadm-config"], &["kube-system"]),
    (&["deletecollection"], "", &["secrets", "configmaps"], &[], &[OWN]),
    // Being somebody else, in the old way and in the constrained one.
    (&["impersonate"], "", &["users", "groups", "serviceaccounts"], &[], EVERYWHERE),
    (&["impersonate"], "authentication.k8s.io", &["uids", "userextras/scopes"], &[], CLUSTER),
    (
        &["impersonate:user-info", "impersonate:serviceaccount", "impersonate:arbitrary-node"],
        "authentication.k8s.io",
        &["users", "groups", "serviceaccounts", "nodes"],
        &[],
        EVERYWHERE,
    ),
    (&["create"], "", &["serviceaccounts/token"], &[], EVERYWHERE),
    (WRITE, "", &["serviceaccounts"], &[], EVERYWHERE),
    // Giving itself more.
    (WRITE, "rbac.authorization.k8s.io", &["roles", "rolebindings"], &[], EVERYWHERE),
    (WRITE, "rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"], &[], CLUSTER),
    (&["escalate", "bind"], "rbac.authorization.k8s.io", &["roles"], &[], EVERYWHERE),
    (
        &["escalate", "bind"],
        "rbac.authorization.k8s.io",
        &["clusterroles"],
        &["cluster-admin", "system:node"],
        EVERYWHERE,
    ),
    // Into pods, and pods of its own making.
    (ENTER, "", &["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"], &[], EVERYWHERE),
    (&["update", "patch"], "", &["pods/ephemeralcontainers"], &[], EVERYWHERE),
    (ANY, "", &["pods"], &[], EVERYWHERE),
    (&["get"], "", &["pods/log"], &[], EVERYWHERE),
    (WRITE, "apps", &["deployments", "daemonsets", "statefulsets", "replicasets"], &[], EVERYWHERE),
    (WRITE, "batch", &["jobs", "cronjobs"], &[], EVERYWHERE),
    // Nodes, and what their kubelets do for whoever may ask.
    (ENTER, "", &["nodes/proxy", "nodes/log", "nodes/exec"], &[], CLUSTER),
    (ANY, "", &["nodes"], &[], CLUSTER),
    // Certificates for anybody, past the one signer.
    (
        &["approve"],
        "certificates.k8s.io",
        &["signers"],
        &[
            "",
            "example.com/any",
            "kubernetes.io/kube-apiserver-client-kubelet",
            "kubernetes.io/kubelet-serving",
            "kubernetes.io/legacy-unknown",
        ],
        CLUSTER,
    ),
    (&["sign", "attest"], "certificates.k8s.io", &["signers"], &["", "kubernetes.io/kube-apiserver-client"], CLUSTER),
    (&["update", "patch"], "certificates.k8s.io", &["certificatesigningrequests/status"], &[], CLUSTER),
    // What the API server believes, lets in, and sends elsewhere.
    (
        WRITE,
        "admissionregistration.k8s.io",
        &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
        &[],
        CLUSTER,
    ),
    (WRITE, "apiextensions.k8s.io", &["customresourcedefinitions"], &[], CLUSTER),
    (ANY, "apiregistration.k8s.io", &["apiservices"], &["", "v1.apps", "v1beta1.metrics.k8s.io"], CLUSTER),
    (WRITE, "", &["services", "endpoints"], &[], EVERYWHERE),
    (WRITE, "discovery.k8s.io", &["endpointslices"], &[], EVERYWHERE),
    (WRITE, "networking.k8s.io", &["networkpolicies", "ingresses"], &[], EVERYWHERE),
    (ANY, "coordination.k8s.io", &["leases"], &[], &["", "default", "kube-node-lease", "kube-system"]),
    // The cluster's frame.
    (WRITE, "", &["namespaces", "persistentvolumes"], &[], CLUSTER),
    // Whom the cluster believes: whoever writes one of them can become anybody.
    (WRITE, "authentication.concierge.latchkey.dev", &["jwtauthenticators", "webhookauthenticators"], &[], CLUSTER),
    (WRITE, "config.concierge.latchkey.dev", &["fleetclusters"], &[], CLUSTER),
    (CHANGE, "config.concierge.latchkey.dev", &["credentialissuers"], &[], CLUSTER),
];

/// The one strong right: dangerous as well, where it is switched off.
const SIGNING: &[Danger] = &[
    (&["approve"], "certificates.k8s.io", &["signers"], &["kubernetes.io/kube-apiserver-client"], CLUSTER),
    (ANY, "certificates.k8s.io", &["certificatesigningrequests"], &[], CLUSTER),
    (&["update", "patch"], "certificates.k8s.io", &["certificatesigningrequests/approval"], &[], CLUSTER),
];

/// Paths that are no objects.
const PATHS: [&str; 3] = ["/metrics", "/logs/", "/debug/pprof/profile"];

/// An account that may everything everywhere, and one that may in the namespace.
const ALMIGHTY: &str = "almighty";
const STEWARD: &str = "steward";

/// Questions at once, on two cores.
const AT_ONCE: usize = 8;

/// The API server reads its roles by watches: milliseconds.
const SEEN_LIMIT: Duration = Duration::from_secs(30);

/// One installation of the chart: what it is called, its account, and what it was given.
struct Shape {
    name: String,
    account: String,
    suffix: String,
    signs: bool,
    has_roles: bool,
    rights: Vec<Value>,
}

/// For every set of values in `ci/`, and a few more switches.
pub(super) async fn nobody_gets_what_makes_an_administrator(cluster: &Cluster, helm: &Helm) -> Result<()> {
    let mut shapes = Vec::new();
    for values in value_files()? {
        let stem = values.rsplit('/').next().and_then(|file| file.strip_suffix("-values.yaml")).context("a file")?;
        shapes.push(Shape::render(helm, stem, &["--values", &values]).await?);
    }
    for (name, set) in [
        ("plain", "rbac.aggregateClusterRoles=false"),
        ("seen", "rbac.aggregateClusterRoles=true"),
        ("unsigned", "strategies.certificateSigningRequestAPI.enabled=false"),
        ("mounted", "serviceAccount.automount=true,serviceAccount.name=somebody"),
    ] {
        shapes.push(Shape::render(helm, name, &[VALUES_OF_DEFAULTS, &["--set", set]].concat()).await?);
    }
    ensure!(shapes.iter().any(|shape| shape.signs) && shapes.iter().any(|shape| !shape.signs && shape.has_roles));
    let objects: Vec<String> = shapes.iter().flat_map(|shape| &shape.rights).map(Value::to_string).collect();
    cluster.apply(&objects.join("\n---\n")).await?;
    // Made last, so whoever has seen it has seen them all.
    cluster.apply(&everything().map(|object| object.to_string()).join("\n---\n")).await?;

    let client = cluster.client().await?;
    eventually("the API server to know the roles", SEEN_LIMIT, async || {
        ensure!(may(&client, ALMIGHTY, ("get", "", "nodes")).await?, "no ClusterRole yet");
        ensure!(may(&client, STEWARD, ("get", "", "secrets")).await?, "no Role yet");
        Ok(())
    })
    .await?;
    // Questions that nobody can answer with yes would say nothing.
    let asked = questions("latchkey.dev", true);
    let denied = asked.len() - allowed(&client, ALMIGHTY, &asked).await?.len();
    ensure!(asked.len() > 400 && denied == 0, "{denied} of {} questions are denied to the administrator", asked.len());

    let mut wrong = Vec::new();
    for shape in &shapes {
        let asked = questions(&shape.suffix, !shape.signs);
        let found = allowed(&client, &shape.account, &asked).await?;
        wrong.extend(found.iter().map(|danger| format!("{}: {danger}", shape.name)));
        shape.has_what_it_needs(&client).await.with_context(|| shape.name.clone())?;
    }
    ensure!(wrong.is_empty(), "the concierge may:\n{}", wrong.join("\n"));
    for (kinds, which) in [
        ("clusterrole,clusterrolebinding,role,rolebinding", &["-A", "-l", "app.kubernetes.io/part-of=latchkey"][..]),
        ("clusterrole,clusterrolebinding", &[ALMIGHTY]),
        ("role,rolebinding", &["-n", OWN, STEWARD]),
    ] {
        // kubectl would look after every single one, five a second.
        cluster.kubectl_ok(&[&["delete", "--wait=false", kinds][..], which].concat()).await?;
    }
    Ok(())
}

// === impl Shape ===

impl Shape {
    async fn render(helm: &Helm, name: &str, arguments: &[&str]) -> Result<Self> {
        let objects = documents(&helm.template(name, OWN, arguments).await?)?;
        let pod = &the(&objects, "Deployment", "latchkey-concierge")?["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().context("an account")?.to_owned();
        let mut flags = pod["containers"][0]["args"].as_array().context("flags")?.iter().filter_map(Value::as_str);
        let suffix = flags.find_map(|flag| flag.strip_prefix("--api-group-suffix=")).unwrap_or("latchkey.dev");
        let suffix = suffix.to_owned();
        let is_right = |object: &Value| kind(object).contains("Role");
        let rights: Vec<Value> = objects.into_iter().filter(is_right).collect();
        let signs = rights.iter().any(|right| right["rules"].to_string().contains("kube-apiserver-client"));
        // Those of people are there without those of the concierge, too.
        let has_roles = rights.iter().any(|right| right["subjects"].to_string().contains(&account));
        Ok(Self { name: name.to_owned(), account, suffix, signs, has_roles, rights })
    }

    /// That the answers are about this account.
    async fn has_what_it_needs(&self, client: &Client) -> Result<()> {
        let authentication = format!("authentication.concierge.{}", self.suffix);
        for question in [("get", "", "secrets"), ("list", authentication.as_str(), "jwtauthenticators")] {
            ensure!(may(client, &self.account, question).await? == self.has_roles, "{question:?}");
        }
        ensure!(
            may(client, &self.account, ("create", "certificates.k8s.io", "certificatesigningrequests")).await?
                == self.signs
        );
        Ok(())
    }
}

/// Whether an account of the namespace may do this there; for kinds of no namespace, in the cluster.
pub(super) async fn may(client: &Client, account: &str, (verb, group, resource): (&str, &str, &str)) -> Result<bool> {
    let namespace = if resource == "nodes" { "" } else { OWN };
    let asked = attributes(verb, group, resource, "", namespace);
    let review = SubjectAccessReviewSpec { resource_attributes: Some(asked), ..subject(account) };
    answer(client, review).await
}

/// Those of the questions that are answered with yes.
async fn allowed(client: &Client, account: &str, asked: &[SubjectAccessReviewSpec]) -> Result<Vec<String>> {
    let ask = async |question: &SubjectAccessReviewSpec| {
        let SubjectAccessReviewSpec { resource_attributes, non_resource_attributes, .. } = question.clone();
        let words = json!([resource_attributes, non_resource_attributes]).to_string();
        let review = SubjectAccessReviewSpec { resource_attributes, non_resource_attributes, ..subject(account) };
        anyhow::Ok(answer(client, review).await?.then_some(words))
    };
    let answers = stream::iter(asked.iter().map(ask)).buffer_unordered(AT_ONCE);
    answers.try_filter_map(async |answer| Ok(answer)).try_collect().await
}

async fn answer(client: &Client, spec: SubjectAccessReviewSpec) -> Result<bool> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let status = reviews.create(&PostParams::default(), &review).await?.status.context("an answer")?;
    Ok(status.allowed)
}

/// The account, in the groups in which the API server puts it.
fn subject(account: &str) -> SubjectAccessReviewSpec {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:latchkey", "system:authenticated"];
    SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{OWN}:{account}")),
        groups: Some(groups.map(str::to_owned).into()),
        ..SubjectAccessReviewSpec::default()
    }
}

/// Every danger, one by one, with our kinds under this ending.
fn questions(suffix: &str, with_signing: bool) -> Vec<SubjectAccessReviewSpec> {
    let dangers = DANGERS.iter().chain(SIGNING.iter().filter(|_| with_signing));
    let mut questions = Vec::new();
    for (verbs, group, resources, names, namespaces) in dangers {
        let group = group.replace("latchkey.dev", suffix);
        let names = if names.is_empty() { &[""] } else { *names };
        for (verb, resource) in verbs.iter().flat_map(|verb| resources.iter().map(move |resource| (verb, resource))) {
            for (name, namespace) in names.iter().flat_map(|name| namespaces.iter().map(move |space| (name, space))) {
                let asked = attributes(verb, &group, resource, name, namespace);
                questions.push(SubjectAccessReviewSpec { resource_attributes: Some(asked), ..Default::default() });
            }
        }
    }
    questions.extend(PATHS.iter().map(|path| SubjectAccessReviewSpec {
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some((*path).to_owned()),
            verb: Some("get".to_owned()),
        }),
        ..Default::default()
    }));
    questions
}

fn attributes(verb: &str, group: &str, resource: &str, name: &str, namespace: &str) -> ResourceAttributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ResourceAttributes {
        verb: given(verb),
        group: given(group),
        resource: given(resource),
        subresource: given(subresource),
        name: given(name),
        namespace: given(namespace),
        ..ResourceAttributes::default()
    }
}

/// All rights for one account in the cluster, and for another in the namespace.
fn everything() -> [Value; 4] {
    let group = "rbac.authorization.k8s.io";
    let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    let paths = json!({"nonResourceURLs": ["*"], "verbs": ["*"]});
    let of = |kind: &str, name: &str| {
        let namespace = if kind.starts_with("Cluster") { Value::Null } else { json!(OWN) };
        json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": name, "namespace": namespace}})
    };
    let with = |mut object: Value, field: &str, value: Value| {
        object[field] = value;
        object
    };
    let binding = |kind: &str, role: &str, account: &str| {
        let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": OWN}]);
        let role = json!({"apiGroup": group, "kind": role, "name": account});
        with(with(of(kind, account), "roleRef", role), "subjects", subjects)
    };
    [
        with(of("ClusterRole", ALMIGHTY), "rules", json!([all, paths])),
        with(of("Role", STEWARD), "rules", json!([all])),
        binding("ClusterRoleBinding", "ClusterRole", ALMIGHTY),
        binding("RoleBinding", "Role", STEWARD),
    ]
}
