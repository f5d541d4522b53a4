// What a Java program does with a person's kubeconfig, by fabric8's client. See ../README.md.

import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.authentication.SelfSubjectReview;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.nio.charset.StandardCharsets;
import java.util.Map;

public final class Fabric8 {
  public static void main(String[] arguments) throws Exception {
    try (var cluster = new KubernetesClientBuilder().build()) {
      var user = cluster.resource(new SelfSubjectReview()).create().getStatus().getUserInfo();
      var namespaces =
          cluster.namespaces().list().getItems().stream().map(one -> one.getMetadata().getName()).toList();
      var stdin = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
      System.out.println(
          new ObjectMapper()
              .writeValueAsString(
                  Map.of(
                      "user", user.getUsername(),
                      "groups", user.getGroups(),
                      "namespaces", namespaces,
                      "stdin", stdin)));
    }
  }
}
