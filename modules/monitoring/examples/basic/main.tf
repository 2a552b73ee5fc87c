module "monitoring" {
  source = "../../../monitoring"

  environment           = "dev"
  queue_arn             = "arn:aws:sqs:ap-northeast-1:123456789012:dev-webhook.fifo"
  dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:dev-webhook-dlq.fifo"
  function_name         = "dev-webhook-forwarder"
  routes                = { sss = {} }
  api                   = { id = "a1b2c3d4e5" }
  notifications         = { emails = ["operator@example.com"] }
  runbook_url           = "https://github.com/OWNER/REPOSITORY/blob/main/docs/runbook.md"
}
