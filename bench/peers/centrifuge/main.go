// A minimal chat server on the Centrifuge library, in memory: clients with a token subscribe to channels and publish to them.
// It tells its port on standard output and ends when its standard input does.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

var errToken = errors.New("the token is not valid")

// userOf takes the user from a JWT signed by HS256.
func userOf(token string, secret []byte) (string, error) {
	end := strings.LastIndexByte(token, '.')
	if end < 0 {
		return "", errToken
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		return "", errToken
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(token[:end]))
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return "", errToken
	}
	payload, err := base64.RawURLEncoding.DecodeString(token[strings.IndexByte(token, '.')+1 : end])
	if err != nil {
		return "", errToken
	}
	var claims struct {
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp < time.Now().Unix() {
		return "", errToken
	}
	return claims.Sub, nil
}

// ownMemory is the memory that is the process's own, bytes in RAM, after garbage is collected and given back.
func ownMemory() string {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "0"
	}
	found := regexp.MustCompile(`RssAnon:\s+(\d+)`).FindSubmatch(status)
	if found == nil {
		return "0"
	}
	return string(found[1]) + "000" // kB
}

func main() {
	secret := []byte(os.Getenv("BENCH_JWT_SECRET"))
	// With recovery, a channel keeps its last messages for those who come back.
	recovery := len(os.Args) > 1 && os.Args[1] == "recovery"
	publish := centrifuge.PublishOptions{}
	if recovery {
		publish = centrifuge.PublishOptions{HistorySize: 1000, HistoryTTL: 10 * time.Minute}
	}

	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		user, err := userOf(event.Token, secret)
		if err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: user}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: recovery}}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			reply(centrifuge.PublishReply{Options: publish}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin:        func(*http.Request) bool { return true },
		UseWriteBufferPool: true,
	}))
	http.HandleFunc("/memory", func(response http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(response, ownMemory())
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
