//! RFC 4475 section 3.1.1: messages that are valid, however odd.

use super::{Torture, Verdict, description, torture, wire};

pub(crate) fn messages() -> Vec<Torture> {
    let mut all = vec![
        // To has a tag: it speaks of a dialog that is not there (RFC 3261 section 12.2.2).
        torture("wsinv", &format!("{WSINV}{}", description_of_wsinv()), Verdict::Refused(481)),
        Torture { name: "intmeth", bytes: intmeth(), verdict: Verdict::Refused(501) },
        torture("esc01", &format!("{ESC01}{}", description(1)), Verdict::Refused(403)),
        torture("escnull", ESCNULL, Verdict::Refused(405)),
        torture("esc02", ESC02, Verdict::Refused(501)),
        torture("lwsdisp", LWSDISP, Verdict::Accepted(200)),
        torture("longreq", &longreq(), Verdict::Refused(403)),
        torture("dblreq", &format!("{DBLREQ}{}", DBLREQ_BODY), Verdict::Refused(405)),
        torture("semiuri", SEMIURI, Verdict::Accepted(200)),
        torture("transports", TRANSPORTS, Verdict::Accepted(200)),
    ];
    all.push(Torture { name: "mpart01", bytes: mpart01(), verdict: Verdict::Refused(405) });
    all.push(torture("unreason", &format!("{UNREASON}{}", description(198)), Verdict::Passed));
    all.push(torture("noreason", NOREASON, Verdict::Passed));
    all
}

const WSINV: &str = r#"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

"#;

fn description_of_wsinv() -> String {
    description(3).replace("c=IN IP4 192.0.2.3", "c=IN IP4 192.0.2.4")
}

fn intmeth() -> Vec<u8> {
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    let user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*";
    let password = "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)";
    wire(&format!(
        "{method} sip:{user}:{password}@example.com SIP/2.0\n\
         Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
         To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:{user}@example.com>\n\
         From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>\
         ;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\n\
         Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}}{{\nCSeq: 139122385 {method}\n\
         Max-Forwards: 255\nextensionHeader-!.%*+_`'~:\u{feff}大停電\nContent-Length: 0\n\n"
    ))
}

const ESC01: &str = "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-3234
CSeq: 234234 INVITE
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
C: application/sdp
Contact:
  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: 150

";

const ESCNULL: &str = "REGISTER sip:example.com SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:0

";

const ESC02: &str = "RE%47IST%45R sip:registrar.example.com SIP/2.0
To: \"%Z%45\" <sip:resource@example.com>
From: \"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0

";

const LWSDISP: &str = "OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
l: 0

";

/// Ways to spell Via, from the first of 33 proxies on.
const SPELLINGS: &[&str] = &[
    "Via:", "v:", "V:", "Via:", "ViA:", "VIa:", "VIA:", "via:", "viA:", "vIa:", "vIA:", "V : ", "v : ",
    "V  :", "v  :", "Via :", "Via  :",
];

fn longreq() -> String {
    let caller = "amazinglylongcallername".repeat(5);
    let via = |place: usize| {
        let spelling = SPELLINGS.get(place).unwrap_or(&"Via:");
        format!("{spelling} SIP/2.0/TCP sip{}.example.com\n", 33 - place)
    };
    let vias: String = (0..33).map(via).collect();
    let long = |times: usize| "long".repeat(times);
    format!(
        "INVITE sip:user@example.com SIP/2.0\n\
         To: \"I have a user name of {extreme} proportion\"<sip:user@example.com:6000\
         ;unknownparam1=very{a}value;longparam{b}=shortvalue;very{c}ParameterNameWithNoValue>\n\
         F: sip:{caller}@example.net;tag=1298{d}424;unknownheaderparam{e}=unknowheaderparam{f};\
         unknownValueless{g}\n\
         Call-ID: longreq.one{h}longcallid\nCSeq: 3882340 INVITE\n\
         Unknown-{i}-Name: unknown-{j}-value; unknown-{j}-parameter-name = unknown-{j}-parameter-value\n\
         {vias}Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{k}branchvalue\n\
         Max-Forwards: 70\nContact: <sip:{caller}@host5.example.net>\nContent-Type: application/sdp\nl: 150\n\n{}",
        description(1),
        extreme = "extreme".repeat(10),
        a = long(20),
        b = "name".repeat(25),
        c = long(25),
        d = "2982".repeat(50),
        e = "name".repeat(20),
        f = "value".repeat(15),
        g = "paramname".repeat(10),
        h = "really".repeat(20),
        i = "Long".repeat(20),
        j = long(20),
        k = long(50),
    )
}

const DBLREQ: &str = "REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
Contact: sip:j.user@host.example.com
CSeq: 8 REGISTER
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
Content-Length: 0


INVITE sip:joe@example.com SIP/2.0
t: sip:joe@example.com
From: sip:caller@example.net;tag=141334
Max-Forwards: 8
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234
Content-Type: application/sdp
Content-Length: 150

";

const DBLREQ_BODY: &str = "v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.15
s=-
c=IN IP4 192.0.2.15
t=0 0
m=audio 49217 RTP/AVP 0 12
m =video 3227 RTP/AVP 31
a=rtpmap:31 LPC
";

const SEMIURI: &str = "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
l: 0

";

const TRANSPORTS: &str = "OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID:  transports.kijh4akdnaqjkwendsasfdj
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

";

const MPART01: &str = "MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9WNZSDNGCzA+fWl9MEUHWIZo1CeJebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=
Contact: <sip:fluffy@127.0.0.1:5070>
To: <sip:kumiko@example.org>
From: <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
CSeq: 1 MESSAGE
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
Date: Sat, 15 Oct 2005 04:44:56 GMT
User-Agent: SIPimp.org/0.2.5 (curses)
Content-Length: 553

--7a9cbec02ceef655
Content-Type: text/plain
Content-Transfer-Encoding: binary

Hello
--7a9cbec02ceef655
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

";

/// The second part is a signature in DER, of which only its nature counts here: other octets of its length and kind
/// stand for it, with NUL, bare LF and what is no UTF-8 among them.
fn mpart01() -> Vec<u8> {
    const BODY: usize = 553;
    let mut bytes = wire(MPART01);
    let head = bytes.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a head") + 4;
    let end = b"\r\n--7a9cbec02ceef655--\r\n";
    let signature = BODY - (bytes.len() - head) - end.len();
    bytes.extend([0x30, 0x82, 0x01, 0x52, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
    bytes.extend((15..signature).map(|place| u8::try_from(place * 89 % 256).expect("an octet")));
    bytes.extend(end);
    bytes
}

const UNREASON: &str = "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Call-ID: unreason.1234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 154
Content-Type: application/sdp
Contact: <sip:user@host198.example.com>

";

/// The phrase is empty, and the space before it is there.
const NOREASON: &str = "SIP/2.0 100 \nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
Call-ID: noreason.asndj203insdf99223ndf
CSeq: 35 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@host105.example.com>

";
