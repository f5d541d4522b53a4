//! A Kubernetes control plane of its own: etcd, kube-apiserver and kube-controller-manager on the loopback.
//!
//! There is no node, so no pod ever runs; everything that only talks to the API works as in any cluster: CRDs, RBAC,
//! certificate requests, service account tokens, aggregated APIs served by a process on the loopback.

mod api_server;
mod certificates;
mod controller_manager;
mod etcd;
mod identities;
mod kubeconfig;
mod kubectl;
mod options;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig as KubeKubeconfig},
};
use rustix::process::Signal;

use self::{
    api_server::ApiServer, certificates::Certificates, controller_manager::ControllerManager, etcd::Etcd,
    kubeconfig::Kubeconfig,
};
pub use self::{kubeconfig::Identity, options::ClusterOptions};
use crate::{
    control_plane::ControlPlane,
    folder::TempFolder,
    install_crypto,
    place::Place,
    rbac_use,
    wait::{self, Observation},
};

/// From a start to ready: 4 s on an idle machine, 6 s when busy (test-cluster.md section 2); many tests start at once on
/// two cores.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(90);

/// Until kube-apiserver has noticed a changed file of client CAs: it watches the file, and also looks once a minute.
const CLIENT_CA_LIMIT: Duration = Duration::from_secs(75);

/// A running control plane; dropping it kills its processes and removes its folder.
pub struct Cluster {
    // Fields are dropped in this order: processes first, the folder that holds their data last.
    controller_manager: Option<ControllerManager>,
    api_server: ApiServer,
    etcd: Etcd,
    programs: &'static ControlPlane,
    certificates: Certificates,
    admin_kubeconfig: PathBuf,
    name: String,
    place: Place,
    workloads: bool,
    /// Whether kube-apiserver was started more than once. It answers before it has read its roles, and forbids everything
    /// until then: such a denial says nothing about the concierge.
    restarted: bool,
    folder: TempFolder,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = rbac_use::keep(self.api_server.audit_log(), &self.name, self.restarted) {
            eprintln!("which rights the concierge used is not kept: {error:#}");
        }
    }
}

impl Cluster {
    /// Starts a control plane and waits until it answers and, with controllers, until the `default` service account and
    /// `kube-root-ca.crt` exist.
    ///
    /// # Errors
    /// If a program is missing or ends, or is not ready in time: with the end of its log.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let folder = TempFolder::new(&options.name)?;
        Self::start_in(options, Place::here(), folder).await
    }

    /// The same in a place, with its files in a folder: in a node's place it is ready for a kubelet.
    pub(crate) async fn start_in(options: ClusterOptions, place: Place, folder: TempFolder) -> Result<Self> {
        install_crypto();
        let name = options.name.clone();
        Self::start_inner(options, place, folder).await.with_context(|| format!("starting the test cluster {name}"))
    }

    async fn start_inner(options: ClusterOptions, place: Place, folder: TempFolder) -> Result<Self> {
        let programs = ControlPlane::find().await?;
        let certificates = Certificates::make(&folder, place.address())?;
        let extra = match &options.client_ca_extra {
            Some(path) => {
                fs::read_to_string(path).with_context(|| format!("reading client CAs from {}", path.display()))?
            }
            None => String::new(),
        };
        certificates.write_client_ca(&folder, &extra)?;

        let etcd = Etcd::start(&programs.etcd, &folder, &place).await?;
        let api_server =
            ApiServer::start(&programs.kube_apiserver, &folder, &certificates, etcd.url(), &options, &place).await?;
        let admin = Kubeconfig {
            cluster: &options.name,
            server: &api_server.url(),
            certificate_authority: &certificates.ca_pem,
        };
        let admin_kubeconfig = admin.write(&folder, "admin", &certificates.admin)?;
        let mut cluster = Self {
            controller_manager: None,
            api_server,
            etcd,
            programs,
            certificates,
            admin_kubeconfig,
            name: options.name,
            place,
            workloads: options.workloads,
            restarted: false,
            folder,
        };
        cluster.api_server_ready().await?;
        if options.controllers_running {
            cluster.start_controller_manager().await?;
        }
        Ok(cluster)
    }

    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the cluster's files and logs are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `https://address:port` of kube-apiserver.
    #[must_use]
    pub fn server_url(&self) -> String {
        self.api_server.url()
    }

    /// The certificate authority of kube-apiserver's serving certificate, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.certificates.ca_pem
    }

    /// The cluster's admin: her client certificate.
    #[must_use]
    pub fn admin(&self) -> &Identity {
        &self.certificates.admin
    }

    /// kube-apiserver's process id.
    #[must_use]
    pub fn api_server_pid(&self) -> u32 {
        self.api_server.pid()
    }

    /// The front proxy's client CA, certificate and key (PEM), for a test that plays the aggregator.
    #[must_use]
    pub fn front_proxy(&self) -> (&str, &Identity) {
        (&self.certificates.front_proxy_ca_pem, &self.certificates.front_proxy)
    }

    /// kube-apiserver's audit log: JSON lines at level Metadata.
    #[must_use]
    pub fn audit_log(&self) -> &Path {
        self.api_server.audit_log()
    }

    /// kube-apiserver's own log, appended to over restarts.
    #[must_use]
    pub fn api_server_log(&self) -> &Path {
        self.api_server.log()
    }

    /// Process ids of etcd, kube-apiserver and, if it runs, kube-controller-manager.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        [self.etcd.pid(), self.api_server.pid()]
            .into_iter()
            .chain(self.controller_manager.as_ref().map(ControllerManager::pid))
            .collect()
    }

    /// The kubeconfig of a member of `system:masters`.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        self.client_for(&self.admin_kubeconfig).await
    }

    /// A client with the identity of a kubeconfig file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client> {
        let kubeconfig = KubeKubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Replaces what follows the cluster's own CA in `--client-ca-file`, and waits until kube-apiserver has taken it over.
    ///
    /// # Errors
    /// If it does not take it over in time.
    pub async fn set_client_ca(&self, extra_pem: &str) -> Result<()> {
        self.certificates.write_client_ca(&self.folder, extra_pem)?;
        // The API server publishes what it has loaded; it adds there and never takes away, so an authority that was known
        // before is seen at once.
        let published: Api<ConfigMap> = Api::namespaced(self.client().await?, "kube-system");
        let wanted = extra_pem.trim();
        wait::eventually("kube-apiserver to load the new client CAs", CLIENT_CA_LIMIT, async || {
            let map = published.get("extension-apiserver-authentication").await?;
            let loaded = map.data.unwrap_or_default().remove("client-ca-file").unwrap_or_default();
            if wanted.is_empty() || loaded.contains(wanted) { Ok(()) } else { bail!("they are not published") }
        })
        .await
    }

    /// Kills kube-apiserver; clients see refused connections until [`Self::start_api_server`].
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn stop_api_server(&mut self) -> Result<()> {
        self.api_server.stop()
    }

    /// Starts kube-apiserver again on the same port and waits until it is ready.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.restarted = true;
        self.api_server.start_again().await?;
        self.api_server_ready().await
    }

    /// Kills kube-apiserver and starts it again on the same port.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn restart_api_server(&mut self) -> Result<()> {
        self.stop_api_server()?;
        self.start_api_server().await
    }

    /// The same with other flags from now on: without those that begin with `without`, and with `with`.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn restart_api_server_with(&mut self, without: &str, with: &[String]) -> Result<()> {
        self.stop_api_server()?;
        self.api_server.change_flags(without, with);
        self.start_api_server().await
    }

    /// Kills kube-controller-manager: nothing signs, nothing cleans up.
    pub fn stop_controller_manager(&mut self) {
        self.controller_manager = None;
    }

    /// Stops kube-controller-manager in its tracks until [`Self::wake_controller_manager`]: nothing signs meanwhile.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze_controller_manager(&self) -> Result<()> {
        self.controller_manager.as_ref().context("kube-controller-manager does not run")?.signal(Signal::STOP)
    }

    /// Lets a frozen kube-controller-manager go on, at once.
    ///
    /// # Errors
    /// If it does not run.
    pub fn wake_controller_manager(&self) -> Result<()> {
        self.controller_manager.as_ref().context("kube-controller-manager does not run")?.signal(Signal::CONT)
    }

    /// Starts kube-controller-manager unless it runs, and waits until its first deeds are seen.
    ///
    /// # Errors
    /// If it ends or does nothing in time.
    pub async fn start_controller_manager(&mut self) -> Result<()> {
        if self.controller_manager.is_none() {
            let kubeconfig = self.write_kubeconfig("controller-manager", &self.certificates.controller_manager)?;
            self.controller_manager = Some(ControllerManager::start(
                &self.programs.kube_controller_manager,
                &self.folder,
                &self.certificates,
                &kubeconfig,
                &self.place,
                self.workloads,
            )?);
        }
        let client = self.client().await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let manager = self.controller_manager.as_mut().context("it was just started")?;
        wait::eventually("kube-controller-manager to make the default service account", START_LIMIT, async || {
            if let Err(error) = manager.check_alive() {
                return Observation::Hopeless(error);
            }
            let seen = async {
                accounts.get("default").await?;
                maps.get("kube-root-ca.crt").await?;
                anyhow::Ok(())
            };
            seen.await.into()
        })
        .await
        .with_context(|| manager.last_words())
    }

    async fn api_server_ready(&mut self) -> Result<()> {
        let client = self.client().await?;
        let api_server = &mut self.api_server;
        wait::eventually("kube-apiserver's /readyz", START_LIMIT, async || {
            if let Err(error) = api_server.check_alive() {
                return Observation::Hopeless(error);
            }
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a constant request");
            client.request_text(request).await.map(drop).map_err(anyhow::Error::from).into()
        })
        .await
        .with_context(|| api_server.last_words())
    }
}
