//! The parts that need an API server: the lease, who signs, our certificates, and the aggregated API itself.

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use latchkey_crds::groups::{GroupSuffix, VERSION};
use rustls::sign::CertifiedKey;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::Way,
    ground::{Ground, said},
    judges::Judges,
    records::Heads,
    seals::Seals,
};
use crate::{
    api::{self, Api, exchange::Exchange, front_proxy_config, request_header::CurrentConfig},
    audit::{rejections::Rejections, sink::AuditLog},
    controllers::{api_service, audit_heads, audit_key, certificate_authority, credential_issuer, serving_cert},
    runtime::lease::{self, Leadership},
    strategies::{self, Authority, Strategies},
    tls::{server::ServingCertificate, serving_files::Loaded},
};

/// The lease of the replica that writes.
const LEASE: &str = "latchkey-concierge";

/// What these parts are called and where they are.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) api_service: String,
    pub(super) cluster: String,
    pub(super) credential_issuer: String,
    pub(super) namespace: String,
    pub(super) replica: String,
    pub(super) suffix: GroupSuffix,
}

/// These parts at work.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) leadership: Leadership,
    /// The certificate of the aggregated API.
    pub(super) certificate: ServingCertificate,
    strategies: Strategies,
    front_proxy: CurrentConfig,
    suffix: GroupSuffix,
    /// Cancelled when no connection brings an exchange any more.
    served: CancellationToken,
}

impl Cluster {
    /// Starts everything but the aggregated API, which needs somebody who judges.
    pub(super) async fn start(
        ground: &mut Ground<'_>,
        way: Way,
        names: Names,
        certificate: Option<Loaded>,
        seals: Seals,
        heads: Heads,
    ) -> Result<Self, anyhow::Error> {
        let Names { api_service, cluster, credential_issuer, namespace, replica, suffix } = names;
        let config = way.config(&namespace).await?;
        let client = Client::try_from(config.clone()).context("making a client for the API server")?;
        let (clock, metrics) = (Arc::clone(&ground.clock), ground.metrics.clone());
        let (candidate, leadership) =
            lease::candidate(client.clone(), &namespace, LEASE, &replica, Arc::clone(&clock), metrics);
        let end = ground.stop.draining();
        ground.spawn("lease", candidate.hold(end.clone()));

        let (publish, front_proxy) = watch::channel(None);
        let known = front_proxy.clone();
        ground
            .readiness
            .require("front-proxy", move || said(known.borrow().is_some(), "its authority is not read yet"));
        ground.spawn("front-proxy", front_proxy_config::watch(client.clone(), publish, end.clone()));

        let (sender, authority) = watch::channel(Authority::default());
        let (strategies, strategy_tasks) = Strategies::new(strategies::Settings {
            client: client.clone(),
            config: config.clone(),
            cluster: cluster.clone(),
            published_in: certificate_authority::published_in(&namespace),
            authority: authority.clone(),
            clock: Arc::clone(&clock),
            metrics: ground.metrics.clone(),
        });
        let next_is_trusted = strategy_tasks.next_is_trusted();
        let signer = strategies.clone();
        ground.readiness.require_once("signer", move || said(signer.ready(), "no strategy has been tried yet"));
        let served = CancellationToken::new();
        ground.spawn("strategies", strategy_tasks.run(leadership.clone(), end.clone(), served.clone()));
        let settings = certificate_authority::Settings {
            client: client.clone(),
            namespace: namespace.clone(),
            cluster: cluster.clone(),
            clock: Arc::clone(&clock),
            leadership: leadership.clone(),
            next_is_trusted,
            authority: sender,
            metrics: ground.metrics.clone(),
        };
        ground.spawn("certificate-authority", certificate_authority::run(settings, end.clone()));
        let (published, audit) = watch::channel(audit_key::Published::default());
        let settings = audit_key::Settings {
            client: client.clone(),
            namespace: namespace.clone(),
            clock: Arc::clone(&clock),
            leadership: leadership.clone(),
            names: seals.names,
            keys: seals.keys,
            privacy: seals.privacy,
            published,
        };
        ground.spawn("audit-key", audit_key::run(settings, end.clone()));
        let settings = audit_heads::Settings {
            client: client.clone(),
            namespace: namespace.clone(),
            identity: heads.identity,
            notes: heads.notes,
            published: audit.clone(),
            others: seals.others,
            leadership: leadership.clone(),
            clock: Arc::clone(&clock),
        };
        // It shows the last head of the log, which is closed last.
        let closing = ground.stop.finishing();
        ground.last.spawn("audit-heads", async move {
            audit_heads::run(settings, closing).await;
            Ok(())
        });
        let settings = credential_issuer::Settings {
            client: client.clone(),
            config,
            resource: latchkey_crds::config::credential_issuer(&suffix),
            name: credential_issuer,
            cluster,
            clock,
            leadership: leadership.clone(),
            strategies: strategies.clone(),
            authority,
            audit,
        };
        ground.spawn("credential-issuer", credential_issuer::run(settings, end));
        let certificate = certificates(ground, &client, &leadership, namespace, api_service, &suffix, certificate);
        Ok(Self { client, leadership, certificate, strategies, front_proxy, suffix, served })
    }

    /// Serves the aggregated API.
    pub(super) fn serve(
        self,
        ground: &mut Ground<'_>,
        listener: TcpListener,
        judges: Judges,
        audit: AuditLog,
        rejections: Rejections,
        work: &TaskTracker,
    ) -> Result<(), anyhow::Error> {
        let Self { client, leadership: _, certificate, strategies, front_proxy, suffix, served } = self;
        let Judges { index, refresh, verdicts } = judges;
        let (metrics, clock) = (ground.metrics.clone(), Arc::clone(&ground.clock));
        let exchange = Exchange { index, refresh, verdicts, strategies, audit, rejections, metrics, clock };
        let readiness = ground.readiness.clone();
        let settings = api::Settings { suffix, front_proxy, exchange, readiness, work: work.clone() };
        let router = api::router::router(Api::new(client, settings));
        ground.serve("aggregated-api", listener, certificate, router, served)
    }
}

/// Starts what makes the certificate of the aggregated API or reads it from `files`, and what tells the API server of its
/// authority.
fn certificates(
    ground: &mut Ground<'_>,
    client: &Client,
    leadership: &Leadership,
    namespace: String,
    service: String,
    suffix: &GroupSuffix,
    files: Option<Loaded>,
) -> ServingCertificate {
    let end = ground.stop.draining();
    let (receiver, bundle) = if let Some(Loaded { certificate, bundle, watcher }) = files {
        ground.spawn("serving-certificate", watcher.run(end.clone()));
        (certificate, bundle)
    } else {
        let (certificate, receiver) = watch::channel::<Option<Arc<CertifiedKey>>>(None);
        let (bundle_sender, bundle) = watch::channel(None);
        let settings = serving_cert::Settings {
            client: client.clone(),
            namespace,
            service,
            clock: Arc::clone(&ground.clock),
            leadership: leadership.clone(),
            certificate,
            bundle: bundle_sender,
            metrics: ground.metrics.clone(),
        };
        ground.spawn("serving-certificate", serving_cert::run(settings, end.clone()));
        (receiver, bundle)
    };
    let loaded = receiver.clone();
    ground.readiness.require("serving-certificate", move || said(loaded.borrow().is_some(), "none is loaded yet"));
    let settings = api_service::Settings {
        client: client.clone(),
        names: [suffix.login(), suffix.identity()].map(|group| format!("{VERSION}.{group}")).to_vec(),
        leadership: leadership.clone(),
        bundle,
    };
    ground.spawn("api-services", api_service::run(settings, end));
    receiver
}
