// What a Java program does with a person's kubeconfig, by the official client. See ../README.md.

import com.google.gson.Gson;
import io.kubernetes.client.openapi.apis.AuthenticationV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1SelfSubjectReview;
import io.kubernetes.client.util.ClientBuilder;
import java.nio.charset.StandardCharsets;
import java.util.Map;

public final class Official {
  public static void main(String[] arguments) throws Exception {
    var cluster = ClientBuilder.standard().build();
    var user =
        new AuthenticationV1Api(cluster)
            .createSelfSubjectReview(new V1SelfSubjectReview())
            .execute()
            .getStatus()
            .getUserInfo();
    var namespaces =
        new CoreV1Api(cluster)
            .listNamespace().execute().getItems().stream().map(one -> one.getMetadata().getName()).toList();
    var stdin = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
    System.out.println(
        new Gson()
            .toJson(
                Map.of(
                    "user", user.getUsername(),
                    "groups", user.getGroups(),
                    "namespaces", namespaces,
                    "stdin", stdin)));
    // Its HTTP client's threads would keep the program for a minute.
    System.exit(0);
  }
}
