"""Java, which reads no proxy variable: its HTTP client, and Maven.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import os
import subprocess

from world import registry

from .registries import CALLERS, Client  # noqa: F401

HOST, CDN = "maven.test", "cdn.test"
GROUP = "test.exeat"
# Where Debian's Java looks for authorities, a link of its own.
TRUST = "/etc/ssl/certs/java/cacerts"
# A start costs less than half without what only long runs need.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
FETCH = """
import java.net.URI;
import java.net.http.*;
import static java.net.http.HttpResponse.BodyHandlers.ofByteArray;

class Fetch {
    static HttpResponse<byte[]> get(HttpClient client, String... fields)
            throws Exception {
        var url = "https://maven.test/repo/test/exeat/demo/1.0/demo-1.0.jar";
        var request = HttpRequest.newBuilder(URI.create(url));
        if (fields.length > 0)
            request.headers(fields);
        return client.send(request.build(), ofByteArray());
    }

    public static void main(String[] args) throws Exception {
        var client = HttpClient.newBuilder()
            .followRedirects(HttpClient.Redirect.NORMAL).build();
        var whole = get(client);
        var tag = whole.headers().firstValue("etag").get();
        var same = get(client, "If-None-Match", tag);
        var rest = get(client, "Range", "bytes=100-");
        System.out.println(whole.statusCode() + " " + same.statusCode() + " "
            + rest.statusCode() + " " + (whole.body().length
            - rest.body().length) + " " + whole.uri().getHost());
    }
}
"""
# A plugin that wants what its project depends on, and says what it got.
MOJO = """
package test.exeat;

import java.util.Set;
import org.apache.maven.plugin.AbstractMojo;

public class Resolved extends AbstractMojo {
    private Set<?> artifacts;

    public void execute() {
        getLog().info("resolved " + artifacts);
    }
}
"""
PLUGIN = f"""<plugin><groupId>{GROUP}</groupId>
<artifactId>exeat-plugin</artifactId><version>1.0</version>
<goalPrefix>exeat</goalPrefix><mojos><mojo><goal>resolved</goal>
<implementation>test.exeat.Resolved</implementation><language>java</language>
<requiresDependencyResolution>runtime</requiresDependencyResolution>
<requiresProject>true</requiresProject>
<instantiationStrategy>per-lookup</instantiationStrategy><parameters><parameter>
<name>artifacts</name><type>java.util.Set</type><editable>false</editable>
</parameter></parameters><configuration>
<artifacts implementation="java.util.Set">${{project.artifacts}}</artifacts>
</configuration></mojo></mojos></plugin>
"""
SETTINGS = f"""<settings><mirrors><mirror><id>test</id><mirrorOf>*</mirrorOf>
<url>https://{HOST}/repo</url></mirror></mirrors></settings>
"""
PROJECT = registry.maven_pom(GROUP, "project", more=f"""<dependencies>
<dependency><groupId>{GROUP}</groupId><artifactId>demo</artifactId>
<version>1.0</version></dependency></dependencies>""")
MAVEN = ["mvn", "-B", "-ntp", "-s", "settings.xml",
         "-Dmaven.repo.local=repository"]
FETCHES = ["java", "-cp", "classes", "Fetch"]
GOAL = f"{GROUP}:exeat-plugin:1.0:resolved"


def trust(world):
    """As Debian's ca-certificates-java does, for the authority of here."""
    os.makedirs(os.path.dirname(TRUST))
    subprocess.run(["keytool", "-J-XX:TieredStopAtLevel=1", "-importcert", "-noprompt", "-storepass",
                    "changeit", "-storetype", "JKS", "-file", world.ca,
                    "-keystore", TRUST],
                   check=True, capture_output=True)


def compiled(client, name, text, *libraries):
    """A class, compiled into the work dir; the bytes of it."""
    folder = client.folder("classes")
    source = client.put(f"{name}.java", text)
    subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", "-cp", ":".join(libraries), "-d", folder,
                    source], check=True)
    found = glob.glob(f"{folder}/**/{name}.class", recursive=True)
    with open(found[0], "rb") as f:
        return f.read()


def plugin(client):
    """The plugin's jar."""
    api = glob.glob("/usr/share/maven/lib/maven-plugin-api-*.jar")
    return registry.archive_zip({
        "META-INF/maven/plugin.xml": PLUGIN,
        "test/exeat/Resolved.class": compiled(client, "Resolved", MOJO,
                                              *api)})


def maven(client):
    registry.maven(client.store, GROUP, "exeat-plugin", plugin(client),
                   "maven-plugin")
    # Maven gives it to each plugin that does not name it.
    registry.maven(client.store, "org.codehaus.plexus", "plexus-utils",
                   registry.archive_zip({"empty": ""}), version="1.1")
    client.put("settings.xml", SETTINGS)
    client.put("pom.xml", PROJECT)
    client.refused("maven: a redirect elsewhere", [HOST], [*MAVEN, GOAL],
                   CDN)
    client.step("maven: resolved", [HOST, CDN], [*MAVEN, GOAL])
    client.step("maven: used, blocked", [], [*MAVEN, "-o", GOAL], 0,
                ["test.exeat:demo:jar:1.0"])


def story(world):
    client = Client(world, ["JAVA_TOOL_OPTIONS=" + QUICK])
    if not client.have("javac"):
        return client.status()
    trust(world)
    registry.maven(client.store, GROUP, "demo",
                   registry.archive_zip({"answer": registry.ANSWER}))
    compiled(client, "Fetch", FETCH)
    client.step("HttpClient: redirect, not modified, range", [HOST, CDN],
                FETCHES, 0, ["200 304 206 100 cdn.test"])
    client.refused("HttpClient: a redirect elsewhere", [HOST],
                   FETCHES, CDN, says=["ConnectException"])
    if client.have("mvn"):
        maven(client)
    return client.status()
