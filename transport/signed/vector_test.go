package signed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
)

// TestVectors holds both implementations of the channel, this one and that of
// clients/python, to the same bytes.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/channel.json")
	if err != nil {
		t.Fatal(err)
	}
	same, err := os.ReadFile("../../clients/python/testdata/channel.json")
	if err != nil || !bytes.Equal(text, same) {
		t.Errorf("testdata/channel.json and that of clients/python differ (%v)", err)
	}
	var v struct {
		Key         string            `json:"key"`
		ClientHello string            `json:"client_hello"`
		ServerHello string            `json:"server_hello"`
		Keys        map[string]string `json:"keys"`
		ServerProof string            `json:"server_proof"`
		ClientProof string            `json:"client_proof"`
		Records     []struct {
			Sender, Data, Record string
		} `json:"records"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hello, answer := unhex(v.ClientHello), unhex(v.ServerHello)
	k, err := derive(hello, answer[:len(answer)-macBytes], Key(unhex(v.Key)))
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"server proof":  {hex.EncodeToString(k.serverProof), v.ServerProof},
		"client proof":  {hex.EncodeToString(k.clientProof), v.ClientProof},
		"client record": {hex.EncodeToString(k.clientRecord), v.Keys["hearth hmac 1 client record"]},
		"server record": {hex.EncodeToString(k.serverRecord), v.Keys["hearth hmac 1 server record"]},
		"server hello":  {v.ServerProof, hex.EncodeToString(answer[len(answer)-macBytes:])},
	} {
		if pair[0] != pair[1] || pair[0] == "" {
			t.Errorf("%s: %s, want %s", what, pair[0], pair[1])
		}
	}
	n := 0
	ends := map[string]*channel{"client": newChannel(t, Key{}), "server": newChannel(t, Key{})}
	for sender, key := range map[string][]byte{"client": k.clientRecord, "server": k.serverRecord} {
		ends[sender].client.out.init(ends[sender].client.nc, key)
		ends[sender].server.in.init(ends[sender].server.nc, key)
	}
	for _, r := range v.Records {
		if r.Record == "" {
			break // a large record is given by its hash; later records have other numbers
		}
		n++
		c := ends[r.Sender]
		if err := c.client.out.recordLocked(unhex(r.Data)); err != nil {
			t.Fatal(err)
		}
		if got := c.up.sent[len(c.up.sent)-1]; hex.EncodeToString(got) != r.Record {
			t.Errorf("record %d of the %s: %x, want %s", n, r.Sender, got, r.Record)
		}
		c.up.delivered.Write(unhex(r.Record))
		got := make([]byte, len(unhex(r.Data)))
		if _, err := io.ReadFull(c.server, got); err != nil || !bytes.Equal(got, unhex(r.Data)) {
			t.Errorf("record %d of the %s is read as %x, %v", n, r.Sender, got, err)
		}
	}
	if n < 2 {
		t.Errorf("only %d records are given whole", n)
	}
}
