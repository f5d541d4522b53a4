"""What a Python program does with a person's kubeconfig. See ../README.md."""

import json
import sys

from kubernetes import client, config

config.load_kube_config()
review = client.AuthenticationV1Api().create_self_subject_review(client.V1SelfSubjectReview())
user = review.status.user_info
namespaces = client.CoreV1Api().list_namespace()
print(
    json.dumps(
        {
            "user": user.username,
            "groups": user.groups,
            "namespaces": [namespace.metadata.name for namespace in namespaces.items],
            "stdin": sys.stdin.read(),
        }
    )
)
