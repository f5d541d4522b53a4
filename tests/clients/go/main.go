// What an operator's program does with a person's kubeconfig, by controller-runtime's client.
//
// Without an argument: see ../README.md. With "keep" it goes on: a list once a second and a watch beside it, a line for each
// thing that happens, until somebody ends it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
)

// How long between two lists.
const pause = time.Second

func main() {
	if err := run(context.Background(), len(os.Args) > 1 && os.Args[1] == "keep"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) error {
	settings, err := config.GetConfig()
	if err != nil {
		return err
	}
	cluster, err := client.NewWithWatch(settings, client.Options{})
	if err != nil {
		return err
	}
	if keep {
		goOn(ctx, cluster)
	}
	review := authentication.SelfSubjectReview{}
	if err := cluster.Create(ctx, &review); err != nil {
		return err
	}
	var list core.NamespaceList
	if err := cluster.List(ctx, &list); err != nil {
		return err
	}
	names := []string{}
	for _, namespace := range list.Items {
		names = append(names, namespace.Name)
	}
	left, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"user":       review.Status.UserInfo.Username,
		"groups":     review.Status.UserInfo.Groups,
		"namespaces": names,
		"stdin":      string(left),
	})
}

func goOn(ctx context.Context, cluster client.WithWatch) {
	go follow(ctx, cluster)
	for {
		var list core.NamespaceList
		if err := cluster.List(ctx, &list); err != nil {
			say("list-failed", err.Error())
		} else {
			say("listed", fmt.Sprint(len(list.Items)))
		}
		time.Sleep(pause)
	}
}

// Watches config maps, again after each end.
func follow(ctx context.Context, cluster client.WithWatch) {
	for {
		stream, err := cluster.Watch(ctx, &core.ConfigMapList{}, client.InNamespace("default"))
		if err != nil {
			say("watch-failed", err.Error())
			time.Sleep(pause)
			continue
		}
		say("watching", "")
		for event := range stream.ResultChan() {
			if object, is := event.Object.(client.Object); is && event.Type != watch.Bookmark {
				say("event", object.GetName())
			}
		}
		say("watch-ended", "")
	}
}

func say(what, about string) {
	line, _ := json.Marshal(map[string]string{"what": what, "about": about})
	_, _ = os.Stdout.Write(append(line, '\n'))
}
