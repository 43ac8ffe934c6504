package monitoring

import "testing"

func TestAlertsAndDashboardAskForWhatSidecarAndWebhookExpose(t *testing.T) {
	metrics := exposed{}
	metrics.scrapeSidecar(t)
	metrics.scrapeWebhook(t)
	for _, q := range questions(t) {
		for _, need := range q.needs(t) {
			if err := metrics.missing(need); err != nil {
				t.Errorf("%s: %v", q.from, err)
			}
		}
	}
}
