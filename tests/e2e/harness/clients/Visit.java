import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Proxy;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Visits by Java's own client, one for each line of input: URL, file of authorities, version. Each knows of none before. */
public class Visit {
	static SSLContext trusting(String file, String version) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		store.load(null, null);
		try (InputStream in = new FileInputStream(file)) {
			for (Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(in))
				store.setCertificateEntry("authority " + store.size(), c);
		}
		TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(store);
		SSLContext context = SSLContext.getInstance("TLSv" + version);
		context.init(null, trust.getTrustManagers(), null);
		return context;
	}

	static String visit(String url, String file, String version) {
		try {
			HttpsURLConnection c = (HttpsURLConnection) new URL(url).openConnection(Proxy.NO_PROXY);
			c.setSSLSocketFactory(trusting(file, version).getSocketFactory());
			c.setRequestProperty("Connection", "close");
			try (InputStream in = c.getInputStream()) {
				return new String(in.readAllBytes());
			}
		} catch (Exception e) {
			return e.toString();
		}
	}

	public static void main(String[] arguments) throws Exception {
		BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
		for (String line; (line = lines.readLine()) != null;) {
			String[] words = line.split(" ");
			System.out.println(visit(words[0], words[1], words[2]).replace('\n', ' '));
		}
	}
}
