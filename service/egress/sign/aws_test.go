package sign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/service/egress/sign"
)

// TestAWS has requests and signatures of the test suite and of the documentation of AWS.
func TestAWS(t *testing.T) {
	t.Parallel()
	empty := sign.Sum(nil)
	suite := sign.AWS{
		AccessKey: "AKIDEXAMPLE",
		SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		Region:    "us-east-1",
		Service:   "service",
	}
	iam := suite
	iam.Service = "iam"
	s3 := sign.AWS{
		AccessKey: "AKIAIOSFODNN7EXAMPLE",
		SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		Region:    "us-east-1",
		Service:   "s3",
	}
	suiteHeader := [][2]string{{"Host", "example.amazonaws.com"}, {"X-Amz-Date", "20150830T123600Z"}}
	s3Header := [][2]string{
		{"Host", "examplebucket.s3.amazonaws.com"},
		{"x-amz-content-sha256", empty},
		{"x-amz-date", "20130524T000000Z"},
	}
	tests := []struct {
		name string
		key  sign.AWS
		r    sign.Request
		want string
	}{
		{
			name: "get-vanilla",
			key:  suite,
			r:    sign.Request{Method: "GET", Path: "/", Header: suiteHeader, BodySum: empty},
			want: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		{
			name: "get-vanilla-query-order-key-case",
			key:  suite,
			r: sign.Request{Method: "GET", Path: "/", Query: "Param2=value2&Param1=value1", Header: suiteHeader,
				BodySum: empty},
			want: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		},
		{
			name: "post-vanilla",
			key:  suite,
			r:    sign.Request{Method: "POST", Path: "/", Header: suiteHeader, BodySum: empty},
			want: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
		},
		{
			name: "documentation, IAM ListUsers",
			key:  iam,
			r: sign.Request{Method: "GET", Path: "/", Query: "Action=ListUsers&Version=2010-05-08", Header: [][2]string{
				{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
				{"Host", "iam.amazonaws.com"},
				{"X-Amz-Date", "20150830T123600Z"},
			}, BodySum: empty},
			want: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
		{
			name: "documentation, S3 GET Object",
			key:  s3,
			r: sign.Request{Method: "GET", Path: "/test.txt", BodySum: empty,
				Header: append([][2]string{{"Range", "bytes=0-9"}}, s3Header...)},
			want: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
		{
			name: "documentation, S3 GET Bucket",
			key:  s3,
			r: sign.Request{Method: "GET", Path: "/", Query: "max-keys=2&prefix=J", Header: s3Header,
				BodySum: empty},
			want: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var at string
			for _, f := range test.r.Header {
				if strings.EqualFold(f[0], "X-Amz-Date") {
					at = f[1]
				}
			}
			when, err := time.Parse("20060102T150405Z", at)
			if err != nil {
				t.Fatal(err)
			}
			got := test.key.Authorization(&test.r, when)
			if !strings.HasSuffix(got, "Signature="+test.want) {
				t.Errorf("got %s, want signature %s", got, test.want)
			}
		})
	}
}
