//! The clients that fetch claims from elsewhere, one for each authenticator that allows it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    controllers::jwt_authenticator::Trust, convert::Bundle, distributed::ClaimClient, idp::proxy::Proxies,
    index::FetchClaim, time::Clock,
};

/// All of them.
#[derive(Debug)]
pub(super) struct Claims {
    clock: Arc<dyn Clock>,
    proxies: Proxies,
    clients: BTreeMap<String, Made>,
}

#[derive(Debug)]
struct Made {
    /// The trust roots that it was made with; `None` for the system's.
    bundle: Option<Bundle>,
    /// `None`: they cannot be used. The judge then lets its tokens stand as refused.
    client: Option<Arc<ClaimClient>>,
}

impl Claims {
    pub(super) const fn new(clock: Arc<dyn Clock>, proxies: Proxies) -> Self {
        Self { clock, proxies, clients: BTreeMap::new() }
    }

    /// From now on there is a client for `name` with these trust roots, or none if it is not `wanted`; `true` if that
    /// changed anything. What it knows of issuers outlasts changes of the spec.
    pub(super) fn keep(&mut self, name: &str, wanted: bool, trust: &Trust) -> bool {
        let bundle = match trust {
            Trust::System if wanted => None,
            Trust::Bundle(bundle) if wanted => Some(bundle.clone()),
            _ => return self.clients.remove(name).is_some(),
        };
        if self.clients.get(name).is_some_and(|made| made.bundle == bundle) {
            return false;
        }
        let roots = bundle.as_ref().map(Bundle::certificates);
        let client = ClaimClient::new(roots, &self.proxies, Arc::clone(&self.clock));
        let client = client.inspect_err(|error| {
            tracing::warn!(authenticator = name, %error, "No claim can be fetched");
        });
        self.clients.insert(name.to_owned(), Made { bundle, client: client.ok().map(Arc::new) });
        true
    }

    /// The client for `name`.
    pub(super) fn of(&self, name: &str) -> Option<Arc<dyn FetchClaim>> {
        let client = self.clients.get(name)?.client.clone()?;
        Some(client)
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, name: &str) {
        self.clients.remove(name);
    }
}
