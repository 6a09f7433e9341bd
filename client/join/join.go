// Package join exchanges an enrolment token for a key or certificate, on the machine of the client.
//
// The private key is created here and never leaves the machine. It is kept in a hidden file of the folder until the
// exchange is complete: the host binds the token to the first public key, so that a later attempt with the same folder
// continues after a lost reply. [Join] then writes the credentials and a profile of package client that names them.
// Existing files are never overwritten, and the profile is written last.
package join

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/ca"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
)

// Timeout is the time limit of each call to the host.
const Timeout = 10 * time.Second

// joiner exchanges one token.
type joiner struct {
	at    string // address of the host
	token *enroll.Token
	dir   string
}

// Join exchanges a token at the host's address, writes the client's files into dir, and returns the path of the
// profile. An error of the call is one of package client.
func Join(ctx context.Context, at string, token *enroll.Token, dir string) (string, error) {
	j := &joiner{at: at, token: token, dir: dir}
	secret, err := j.token.Bytes()
	if err != nil {
		return "", err
	}
	c, err := client.New(client.Config{
		Address:  j.at,
		KeyID:    j.token.ID,
		Key:      signed.Key(secret),
		Timeout:  Timeout,
		MaxConns: 1,
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	service := c.Object(object.Enroll)
	if j.token.Kind == enroll.Key {
		return j.key(ctx, service)
	}
	return j.cert(ctx, service)
}

// pending returns the private key of the token, and creates it at the first call.
func (j *joiner) pending(fresh func() (crypto.PrivateKey, error)) (key crypto.PrivateKey, path string, err error) {
	path = filepath.Join(j.dir, "."+j.token.ID+".key")
	text, err := safefile.Read(path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = fresh(); err != nil {
			return nil, "", err
		}
		if text, err = ca.EncodeKey(key); err != nil {
			return nil, "", err
		}
		return key, path, safefile.Create(path, text, 0o600)
	}
	if err != nil {
		return nil, "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, "", fmt.Errorf("%s is damaged; remove it, and request a new token", path)
	}
	key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	return key, path, err
}

// Attempts with a token that the host does not accept yet.
const (
	newTokenWait  = 400 * time.Millisecond
	maxTokenTries = 2
)

// exchange calls the host's service and returns the strings of the reply.
func (j *joiner) exchange(
	ctx context.Context, service *client.Object, method, argument string,
) (map[string]string, error) {
	v, err := service.Call(ctx, method, argument)
	// A host reads new tokens three times a second, so a new token may be accepted at the next attempt.
	for try := 0; errors.Is(err, signed.ErrProof) && try < maxTokenTries; try++ {
		select {
		case <-ctx.Done():
		case <-time.After(newTokenWait):
		}
		v, err = service.Call(ctx, method, argument)
	}
	if errors.Is(err, signed.ErrProof) {
		return nil, fmt.Errorf("the host at %s rejects this token: it was used, revoked or has expired, "+
			"or this is another host", j.at)
	}
	if err != nil {
		return nil, err
	}
	dict, ok := v.(map[string]any)
	out := map[string]string{}
	for k, v := range dict {
		s, isText := v.(string)
		ok = ok && isText
		out[k] = s
	}
	// The name becomes a file name, so it must not be a path.
	if name := out["principal"]; !ok || name == "" || name != filepath.Base(name) || name[0] == '.' || name[0] == '-' {
		return nil, fmt.Errorf("the host at %s sent an invalid enrolment", j.at)
	}
	return out, nil
}

func (j *joiner) cert(ctx context.Context, service *client.Object) (string, error) {
	key, pending, err := j.pending(func() (crypto.PrivateKey, error) { return ca.NewKey() })
	if err != nil {
		return "", err
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("%s is not the key of a certificate; remove it, and request a new token", pending)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer)
	if err != nil {
		return "", err
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	answer, err := j.exchange(ctx, service, "certificate", string(request))
	if err != nil {
		return "", err
	}
	name := answer["principal"]
	keyPEM, err := ca.EncodeKey(signer)
	if err != nil {
		return "", err
	}
	p := client.Profile{
		Address:    j.at,
		Channel:    "tls",
		CA:         name + ".ca.pem",
		Cert:       name + ".pem",
		CertKey:    name + ".key",
		ServerName: answer["server_name"],
	}
	return j.write(pending, name, p, map[string][]byte{
		p.CA:      []byte(answer["ca"]),
		p.Cert:    []byte(answer["certificate"]),
		p.CertKey: keyPEM,
	})
}

func (j *joiner) key(ctx context.Context, service *client.Object) (string, error) {
	key, pending, err := j.pending(func() (crypto.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) })
	if err != nil {
		return "", err
	}
	own, ok := key.(*ecdh.PrivateKey)
	if !ok {
		return "", fmt.Errorf("%s is not an X25519 key; remove it, and request a new token", pending)
	}
	answer, err := j.exchange(ctx, service, "key", base64.StdEncoding.EncodeToString(own.PublicKey().Bytes()))
	if err != nil {
		return "", err
	}
	invalid := fmt.Errorf("the host at %s sent an invalid key", j.at)
	theirs, err := base64.StdEncoding.DecodeString(answer["public"])
	if err != nil {
		return "", invalid
	}
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return "", invalid
	}
	shared, err := own.ECDH(public)
	if err != nil {
		return "", invalid
	}
	secret, err := enroll.DeriveKey(shared, own.PublicKey().Bytes(), theirs, j.token.ID)
	if err != nil {
		return "", err
	}
	created, err := time.Parse(time.RFC3339, answer["created"])
	if err != nil {
		return "", invalid
	}
	text, err := keyfile.Encode(keyfile.Key{ID: answer["key_id"], Secret: secret, Created: created})
	if err != nil {
		return "", invalid
	}
	name := answer["principal"]
	p := client.Profile{Address: j.at, Channel: "hmac", Key: name + ".key"}
	return j.write(pending, name, p, map[string][]byte{p.Key: text})
}

// write writes the files, the profile last, and removes the pending key.
func (j *joiner) write(pending, name string, p client.Profile, files map[string][]byte) (string, error) {
	profile := filepath.Join(j.dir, name+".json")
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", err
	}
	for file := range files {
		if _, err := os.Lstat(filepath.Join(j.dir, file)); err == nil {
			return "", fmt.Errorf("%s exists and was not changed; move it and run this again",
				filepath.Join(j.dir, file))
		}
	}
	for file, b := range files {
		if err := safefile.Create(filepath.Join(j.dir, file), b, 0o600); err != nil {
			return "", err
		}
	}
	if err := safefile.Create(profile, append(text, '\n'), 0o644); err != nil {
		return "", err
	}
	return profile, os.Remove(pending)
}
