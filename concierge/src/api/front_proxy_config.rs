//! Watches `kube-system/extension-apiserver-authentication` and publishes what it says, whole, whenever it changes.

use std::sync::Arc;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::request_header::FrontProxyConfig;

/// Where kube-apiserver publishes how to recognise its front proxy.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// Watches until `stop`. A change that cannot be used is reported and the last good configuration stays: an empty or
/// half-written `ConfigMap` must not turn every request away.
pub async fn watch(client: Client, publish: watch::Sender<Option<Arc<FrontProxyConfig>>>, stop: CancellationToken) {
    let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    // One object by name, as the Role extension-apiserver-authentication-reader allows.
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    // The default back-off runs from 0.8 to 30 s with jitter and starts again after a quiet spell.
    let events = watcher::watcher(api, config).default_backoff();
    pin_mut!(events);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(Event::Apply(found) | Event::InitApply(found))) => apply(&found, &publish),
            Some(Ok(Event::Delete(_))) => {
                tracing::warn!(name = NAME, "The ConfigMap was deleted, keeping what it said");
            }
            Some(Ok(Event::Init | Event::InitDone)) => {}
            Some(Err(error)) => tracing::warn!(%error, name = NAME, "Cannot watch the ConfigMap, trying again"),
            // kube's watcher never ends by itself.
            None => return,
        }
    }
}

fn apply(found: &ConfigMap, publish: &watch::Sender<Option<Arc<FrontProxyConfig>>>) {
    match FrontProxyConfig::parse(found.data.as_ref().unwrap_or(&std::collections::BTreeMap::new())) {
        Ok(config) => {
            publish.send_replace(Some(Arc::new(config)));
            tracing::info!(name = NAME, "Loaded how to recognise the front proxy");
        }
        Err(error) => {
            tracing::warn!(%error, name = NAME, "The ConfigMap cannot be used, keeping what it said before");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_unusable_update_keeps_the_last_good_configuration() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let with = |data: Option<BTreeMap<String, String>>| ConfigMap { data, ..ConfigMap::default() };
        let (publish, seen) = watch::channel(None);
        apply(&with(None), &publish);
        assert!(seen.borrow().is_none());
        apply(&with(Some(BTreeMap::from([("client-ca-file".to_owned(), pem)]))), &publish);
        let good = seen.borrow().clone().unwrap();
        for unusable in [None, Some(BTreeMap::from([("client-ca-file".to_owned(), "cut".to_owned())]))] {
            apply(&with(unusable), &publish);
            assert!(Arc::ptr_eq(&good, seen.borrow().as_ref().unwrap()));
        }
    }
}
