-- How many units a license is for. One where the type of its product splits quantities; what the type said when the order
-- was placed is what counts.
ALTER TABLE assets ADD COLUMN quantity BIGINT NOT NULL DEFAULT 1 CHECK (quantity >= 1);
-- How many units a line of an invoice charges together.
ALTER TABLE invoice_lines ADD COLUMN quantity BIGINT NOT NULL DEFAULT 1 CHECK (quantity >= 1);
-- It was 1 in every line, and nobody read it; the asset of the line has the quantity.
ALTER TABLE order_lines DROP COLUMN quantity;
