//! What is refused, and whether the words say what to set.

use anyhow::{Result, ensure};

use super::helm::{CHART, Helm, VALUES_OF_DEFAULTS};

#[tokio::test]
async fn a_misspelt_value_is_refused_by_its_name() -> Result<()> {
    let helm = Helm::new().await?;
    for (set, expected) in [
        ("replicas=3", "at '': additional properties 'replicas' not allowed"),
        ("image.tga=1", "at '/image': additional properties 'tga' not allowed"),
        (
            "metrics.serviceMonitor.enable=true",
            "at '/metrics/serviceMonitor': additional properties 'enable' not allowed",
        ),
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("audit.names=none", "at '/audit/names': value must be one of"),
        ("shutdownGrace=5", "at '/shutdownGrace': got number, want string"),
        ("terminationGracePeriodSeconds=0", "at '/terminationGracePeriodSeconds': minimum: got 0, want 1"),
    ] {
        let said = refused(&helm, &["--set", set]).await?;
        ensure!(said.contains(expected), "{set}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn values_that_contradict_each_other_are_refused_with_what_to_set() -> Result<()> {
    let helm = Helm::new().await?;
    let said = helm.refused(&["template", "latchkey", CHART]).await?;
    ensure!(said.contains("set it to this cluster's name, such as --set clusterName=staging"), "{said}");
    let digest = format!("image.digest=sha256:{}", "0F".repeat(32));
    for (set, expected) in [
        ("clusterName=Staging", "clusterName is \"Staging\": set it to lower-case letters"),
        ("apiGroupSuffix=dev", "apiGroupSuffix is \"dev\": set it to a DNS name with at least one dot"),
        (&digest, "set it to sha256: and 64 hexadecimal digits"),
        ("serviceAccount.create=false", "serviceAccount.name is empty: set the name of the account to use"),
        ("serviceAccount.create=false,serviceAccount.name=default", "default account must not get these rights"),
        ("serviceAccount.name=default", "default account must not get these rights"),
        (
            "terminationGracePeriodSeconds=90,shutdownGrace=40s",
            "terminationGracePeriodSeconds is 90: set it to 91 or more, or to \"\"",
        ),
        ("terminationGracePeriodSeconds=55", "set it to 56 or more"),
        ("extraArgs[0]=--shutdown-grace=9s", "extraArgs sets --shutdown-grace: take it out and set shutdownGrace"),
        ("extraArgs[0]=--shutdown-grace", "extraArgs sets --shutdown-grace"),
        ("extraEnv[0].name=LATCHKEY_SHUTDOWN_GRACE", "extraEnv sets LATCHKEY_SHUTDOWN_GRACE: take it out"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "podLabels sets app.kubernetes.io/name"),
        ("podDisruptionBudget.maxUnavailable=1,podDisruptionBudget.minAvailable=1", "set one of them to \"\""),
        ("podDisruptionBudget.minAvailable=2", "podDisruptionBudget.minAvailable is 2 with 2 replicas: set it lower"),
        ("podDisruptionBudget.minAvailable=100%", "would block kubectl drain for ever"),
        ("podDisruptionBudget.minAvailable=51%", "would block kubectl drain for ever"),
        ("podDisruptionBudget.maxUnavailable=0", "set it to 1 or more"),
        ("podDisruptionBudget.maxUnavailable=0%", "set it to 1 or more"),
        ("namespaceOverride=kube-system", "set --namespace to one that holds nothing else"),
        ("metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true", "set one of them to false"),
        ("metrics.scrapeAnnotations=true,metrics.podMonitor.enabled=true", "set one of them to false"),
        ("hostNetwork=true", "set ports.aggregatedAPI to a free port"),
        ("ports.admin=10250", "are the same (10250, 10250): set them apart"),
        ("review.enabled=true,review.clientCA.secretName=a,review.port=8080", "are the same"),
        ("resourceQuota.enabled=true", "set priorityClassName to the class"),
        ("tls.mode=secret", "tls.secretName is empty: set it to the name of a Secret"),
        ("tls.secretName=a", "set tls.mode to secret"),
        ("tls.mode=certManager", "tls.certManager.issuerRef.name is empty: set it"),
        ("review.enabled=true", "set review.clientCA.configMapName"),
        ("review.enabled=true,review.clientCA.secretName=a,review.clientCA.configMapName=b", "set one of them to \"\""),
        ("audit.stdout=false", "set one of them to true"),
        ("audit.file.enabled=true", "audit.file.volume is empty: set it to a volume"),
        ("audit.otlp.plaintext=true", "audit.otlp.endpoint is empty"),
        ("httpsProxy=http://a,httpsProxySecret.name=b", "set one of them to \"\""),
        ("networkPolicy.enabled=true", "set it to the API server's addresses"),
        (
            "networkPolicy.enabled=true,networkPolicy.apiServer.to[0].ipBlock.cidr=0.0.0.0/0",
            "networkPolicy.issuers.to is empty: set it to the addresses of your issuers or of the proxy to them",
        ),
    ] {
        let said = refused(&helm, &["--set", set]).await?;
        ensure!(said.contains(expected), "{set}: {said}");
    }
    // Where there is one replica the budget is left out, whatever it says.
    helm.template(
        "latchkey",
        "latchkey",
        &["--set", "clusterName=a,replicaCount=1,podDisruptionBudget.minAvailable=1"],
    )
    .await?;
    // Half of three is two: one may go.
    let half = ["--set", "clusterName=a,replicaCount=3,podDisruptionBudget.minAvailable=50%"];
    helm.template("latchkey", "latchkey", &half).await?;
    Ok(())
}

async fn refused(helm: &Helm, arguments: &[&str]) -> Result<String> {
    helm.refused(&[&["template", "latchkey", CHART][..], VALUES_OF_DEFAULTS, arguments].concat()).await
}
