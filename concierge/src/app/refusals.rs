//! The part that shows refused tokens in the cluster; without an API server there is none.

use std::{sync::Arc, time::Duration};

use latchkey_crds::{audit::token_rejections, authentication, groups::GroupSuffix};
use tokio::sync::watch;

use super::{cluster::Cluster, ground::Ground};
use crate::audit::{
    event::Privacy,
    rejections::{Rejections, Settings, rejections},
};

/// How it is done.
pub(super) struct Manner {
    pub(super) lifetime: Duration,
    pub(super) privacy: watch::Receiver<Privacy>,
    pub(super) replica: String,
    pub(super) suffix: GroupSuffix,
}

/// Starts it, if there is a cluster to show them in.
pub(super) fn start(ground: &mut Ground<'_>, cluster: Option<&Cluster>, manner: Manner) -> Rejections {
    let Some(cluster) = cluster else { return Rejections::default() };
    let Manner { lifetime, privacy, replica, suffix } = manner;
    let (noted, keeper) = rejections(Settings {
        client: cluster.client.clone(),
        rejections: token_rejections(&suffix),
        authenticators: authentication::jwt_authenticator(&suffix),
        replica,
        lifetime,
        privacy,
        leadership: cluster.leadership.clone(),
        metrics: ground.metrics.clone(),
        clock: Arc::clone(&ground.clock),
    });
    // To the very end: what is refused while the last requests end is shown too.
    let end = ground.stop.finishing();
    ground.last.spawn("token-rejections", async move {
        keeper.run(end).await;
        Ok(())
    });
    noted
}
