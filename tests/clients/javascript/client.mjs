// What a JavaScript program does with a person's kubeconfig. See ../README.md.

import { readFileSync } from "node:fs";

import { AuthenticationV1Api, CoreV1Api, KubeConfig } from "@kubernetes/client-node";

const kubeconfig = new KubeConfig();
kubeconfig.loadFromDefault();
const review = await kubeconfig.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} });
const namespaces = await kubeconfig.makeApiClient(CoreV1Api).listNamespace();
const { username: user, groups } = review.status.userInfo;
console.log(
  JSON.stringify({
    user,
    groups,
    namespaces: namespaces.items.map((namespace) => namespace.metadata.name),
    stdin: readFileSync(0, "utf8"),
  }),
);
